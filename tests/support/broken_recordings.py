"""Recordings that are odd, damaged or none at all, and what `sed-run` has to make of each.

`recordings(folder)` writes them and yields a `Case` each. Needs the ffmpeg program for containers that libsndfile
does not write.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

DATA = Path(__file__).resolve().parents[1] / "data"
SPEECH = DATA / "emodb_15_angry_1.flac"


@dataclass(frozen=True)
class Case:
    """One run of a command: what is odd, its arguments, and what must come of it.

    `status` is the exit status, `says` what the one message must contain (empty: no message at all), `found` what
    must be in the result: a number of seconds that the recording lasts, or None where there must be no result.
    `speech` tells whether segments are expected. `piped` goes to standard input.
    `unprivileged` runs it without root's rights; `lines` are those of the message at most.
    """

    name: str
    arguments: tuple[str, ...]
    status: int = 0
    says: str = ""
    found: float | None = None
    speech: bool = False
    piped: bytes | None = None
    unprivileged: bool = False
    lines: int = 1


def wav_header(
    channels: int = 1,
    rate: int = 16000,
    bits: int = 16,
    data: int = 32000,
    form: int = 1,
    align: int | None = None,
) -> bytes:
    """The 44 bytes before the samples of a plain WAV, whatever sense they make."""
    width = channels * bits // 8 if align is None else align
    form_chunk = struct.pack("<HHIIHH", form, channels, rate, rate * width & 0xFFFFFFFF, width, bits)
    whole = struct.pack("<I", (36 + data) & 0xFFFFFFFF)
    return b"RIFF" + whole + b"WAVEfmt \x10\0\0\0" + form_chunk + b"data" + struct.pack("<I", data)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, which has to succeed."""
    subprocess.run(["ffmpeg", "-y", "-nostdin", "-v", "error", *map(str, arguments)], check=True)


def recordings(folder: Path) -> Iterator[Case]:
    """Every case, its files written to `folder` just before."""
    yield from _not_audio(folder)
    yield from _odd_samples(folder)
    yield from _odd_forms(folder)
    yield from _wrong_headers(folder)
    yield from _broken_off(folder)
    yield from _channels(folder)


def _speech() -> np.ndarray:
    return soundfile.read(SPEECH, dtype="float32")[0]


def _not_audio(folder: Path) -> Iterator[Case]:
    def refused(what: str, name: str, content: bytes, says: str) -> Case:
        (folder / name).write_bytes(content)
        return Case(what, (str(folder / name),), 1, says)

    noise = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()
    yield refused("text named .wav", "text.wav", b"this is no sound\n" * 100, "found text, expected audio")
    yield refused("a playlist named .mp3", "list.mp3", b"#EXTM3U\nhttp://127.0.0.1:9/x.mp3\n", "found text")
    yield refused(
        "ffmpeg's concat list", "concat.mka", b"ffconcat version 1.0\nfile /etc/passwd\n", "found text"
    )
    yield refused("an empty file", "empty.wav", b"", "found an empty file, expected audio")
    yield refused("random bytes", "random.wav", noise, "found bytes of no known format")
    yield refused("zeros", "zeros.flac", bytes(20_000), "found bytes of no known format")
    yield refused("a PNG named .wav", "picture.wav", b"\x89PNG\r\n\x1a\n" + noise, "found a PNG image")
    yield refused("a ZIP named .ogg", "archive.ogg", b"PK\x03\x04" + noise, "found a ZIP archive")
    yield refused("an ID3 tag and nothing", "tag.mp3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), "MP3")
    (folder / "folder.wav").mkdir()
    yield Case(
        "an empty folder named x.wav", (str(folder / "folder.wav"),), 2, "expected audio files in this folder"
    )
    yield Case("a missing file", (str(folder / "missing.wav"),), 1, "no such file")
    (folder / "dangling.wav").symlink_to(folder / "nowhere.wav")
    yield Case("a link to nowhere", (str(folder / "dangling.wav"),), 1, "no such file")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    yield Case("a link to itself", (str(folder / "loop.wav"),), 1, "symbolic links")
    yield Case("/dev/null", ("/dev/null",), 1, "found no bytes")
    soundfile.write(folder / "secret.wav", _speech(), 16000)
    (folder / "secret.wav").chmod(0)
    yield Case("no permission", (str(folder / "secret.wav"),), 1, "no permission", unprivileged=True)
    yield Case("standard input, empty", ("-",), 1, "stdin: found no bytes", piped=b"")
    yield Case("standard input, text", ("-",), 1, "stdin: found text", piped=b"hello\n" * 90)
    yield Case(
        "standard input, audio", ("-",), found=len(_speech()) / 16000, speech=True, piped=SPEECH.read_bytes()
    )
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:d=1", folder / "film.mp4")
    yield Case("a film without sound", (str(folder / "film.mp4"),), 1, "film without sound")
    (folder / "headless.raw").write_bytes(np.zeros(16000, np.int16).tobytes())
    yield Case("samples without a header", (str(folder / "headless.raw"),), 1, "samples without a header")


def _odd_samples(folder: Path) -> Iterator[Case]:
    speech = _speech()
    lasts = len(speech) / 16000

    def wav(name: str, samples: np.ndarray, subtype: str = "FLOAT", rate: int = 16000) -> tuple[str]:
        soundfile.write(folder / name, samples, rate, subtype=subtype)
        return (str(folder / name),)

    yield Case("no samples at all", wav("none.wav", np.zeros(0)), found=0.0)
    yield Case("one sample", wav("one.wav", np.zeros(1)), found=1 / 16000)
    yield Case("1 ms", wav("millisecond.wav", np.full(16, 0.1)), found=0.001)
    yield Case("silence", wav("silence.wav", np.zeros(32000)), found=2.0)
    yield Case("direct current", wav("dc.wav", np.full(32000, 0.3)), found=2.0)
    yield Case("clipped", wav("clipped.wav", np.clip(40 * speech, -1, 1)), found=lasts, speech=True)
    yield Case("very quiet, -60 dB", wav("quiet.wav", 0.001 * speech), found=lasts)
    broken = speech.copy()
    broken[8000] = np.nan
    yield Case("a NaN", wav("nan.wav", broken), 1, "not a finite number at 0.500 s")
    broken[8000] = -np.inf
    yield Case("an infinity", wav("inf.wav", broken), 1, "not a finite number at 0.500 s")
    yield Case("16-bit integers as floats", wav("scale.wav", 32768 * speech), 1, "expected a full scale of 1")
    yield Case("10 Hz", wav("slow.wav", np.zeros(90), "PCM_16", 10), 1, "10 Hz: expected 1000 to 768000 Hz")
    yield Case("900 kHz", wav("fast.wav", np.zeros(900), "PCM_16", 900_000), 1, "expected 1000 to 768000 Hz")


def _odd_forms(folder: Path) -> Iterator[Case]:
    speech = _speech()
    lasts = len(speech) / 16000
    many = np.repeat(np.repeat(speech, 6)[:, None], 8, 1)
    soundfile.write(folder / "studio.wav", many, 96000, subtype="PCM_24")
    yield Case("96 kHz, 8 channels, 24 bits", (str(folder / "studio.wav"),), found=lasts, speech=True)
    for subtype in ("DOUBLE", "PCM_U8", "ALAW", "MS_ADPCM"):
        soundfile.write(folder / f"{subtype}.wav", speech, 16000, subtype=subtype)
        yield Case(f"WAV of {subtype}", (str(folder / f"{subtype}.wav"),), found=lasts, speech=True)
    for name, codec in (("a:b 100%.m4a", "aac"), ("film.mkv", "pcm_s16le"), ("mp3.wav", "libmp3lame")):
        ffmpeg("-i", SPEECH, "-c:a", codec, f"file:{folder / name}")
        more = 0.1 if codec == "libmp3lame" else 0.0  # silence that the coder needs, and a WAV does not tell
        yield Case(f"{codec} in {Path(name).suffix}", (str(folder / name),), found=lasts + more, speech=True)
    name = "two\nlines.wav"
    soundfile.write(folder / name, speech, 16000)
    yield Case("a name of two lines", (str(folder / name),), found=lasts, speech=True)
    rttm = ("-o", "out.rttm")
    yield Case("the same, as RTTM", (str(folder / name), *rttm), 1, "RTTM expects a name without blanks")
    (folder / "full.rttm").symlink_to("/dev/full")
    yield Case(
        "a full disk", (str(SPEECH), "-o", str(folder / "full.rttm")), 1, "cannot be written (No space left"
    )
    yield Case(
        "an output that may not be written", (str(SPEECH), "-o", "/proc/out.rttm"), 1, "cannot be written"
    )
    (folder / "text\n.wav").write_text("no sound")
    yield Case("text, in a name of two lines", (str(folder / "text\n.wav"),), 1, "found text, expected audio")


def _wrong_headers(folder: Path) -> Iterator[Case]:
    samples = (np.clip(_speech(), -1, 1) * 32767).astype("<i2").tobytes()
    lasts = len(samples) / 32000

    def made(name: str, content: bytes) -> tuple[str]:
        (folder / name).write_bytes(content)
        return (str(folder / name),)

    yield Case(
        "WAV of 0 channels",
        made("c0.wav", wav_header(channels=0) + samples),
        1,
        "a WAV header with 0 channels",
    )
    yield Case("WAV of 0 Hz", made("r0.wav", wav_header(rate=0) + samples), 1, "at 0 Hz, expected")
    yield Case("WAV of 0 bits", made("b0.wav", wav_header(bits=0) + samples), 1, "unknown codec")
    yield Case(
        "WAV of an unknown codec", made("codec.wav", wav_header(form=0x7777) + samples), 1, "unknown codec"
    )
    yield Case("WAV that ends in its header", made("cut.wav", wav_header()[:30]), 1, "damaged RIFF")
    yield Case("WAV with a header only", made("head.wav", wav_header(data=0)), found=0.0)
    unfinished = made("unfinished.wav", wav_header(data=0) + samples)
    yield Case("WAV never finished: length 0", unfinished, 0, "never completed", found=lasts, speech=True)
    streamed = made("streamed.wav", wav_header(data=0xFFFFFFFF) + samples)
    yield Case("WAV streamed: length 4 GiB", streamed, found=lasts, speech=True)
    long = made("long.wav", wav_header(data=2 * len(samples)) + samples)
    yield Case("WAV that promises twice its length", long, 0, "breaks off", found=lasts, speech=True)
    short = made("short.wav", wav_header(data=16000) + samples)
    yield Case(
        "WAV that promises 0.5 s, and more follows",
        short,
        0,
        "further ones behind them are not used",
        found=0.5,
        speech=True,
    )
    odd = made("odd.wav", wav_header(data=len(samples) - 1) + samples[:-1])
    yield Case("WAV with half a sample at its end", odd, found=lasts - 1 / 16000, speech=True)


def _broken_off(folder: Path) -> Iterator[Case]:
    speech = np.tile(_speech(), 6)
    lasts = len(speech) / 16000
    soundfile.write(folder / "whole.wav", speech, 16000)
    codecs = {"wav": "pcm_s16le", "flac": "flac", "ogg": "libvorbis", "opus": "libopus", "mp3": "libmp3lame"}
    for suffix, codec in codecs.items():
        path = folder / f"broken.{suffix}"
        ffmpeg("-i", folder / "whole.wav", "-c:a", codec, path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
        name = f"{suffix.upper()}, 60 % of the file"
        says = {"wav": "breaks off", "flac": "damaged; the", "mp3": "breaks off"}.get(
            suffix, "without an end"
        )
        yield Case(name, (str(path),), 0, says, found=0.6 * lasts, speech=True)
        path = folder / f"stub.{suffix}"
        path.write_bytes(whole[:100])
        stub = (f"{suffix.upper()}, 100 bytes of the file", (str(path),))
        yield Case(*stub, 0, "breaks off", found=11 / 16000) if suffix == "wav" else Case(*stub, 1, "damaged")
    ffmpeg("-i", folder / "whole.wav", folder / "broken.m4a")
    whole = (folder / "broken.m4a").read_bytes()
    (folder / "broken.m4a").write_bytes(whole[: len(whole) // 2])
    yield Case("M4A, half of the file", (str(folder / "broken.m4a"),), 1, "damaged or unfinished MP4")
    damaged = bytearray((folder / "whole.wav").read_bytes())
    for kind in ("flac", "mp3"):
        path = folder / f"flipped.{kind}"
        ffmpeg("-i", folder / "whole.wav", path)
        damaged = bytearray(path.read_bytes())
        for place in np.random.default_rng(1).integers(len(damaged) // 3, len(damaged), 20):
            damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        yield Case(
            f"{kind.upper()} with 20 wrong bytes",
            (str(path),),
            0,
            "damaged; the" if kind == "flac" else "",
            found=lasts,
            speech=True,
        )


def _channels(folder: Path) -> Iterator[Case]:
    speech = _speech()
    lasts = len(speech) / 16000
    soundfile.write(folder / "three.wav", np.repeat(speech[:, None], 3, 1), 16000)
    three = str(folder / "three.wav")
    yield Case(
        "3 channels, --channels 5", (three, "--channels", "5"), 1, "found 3 channels, expected a channel 5"
    )
    yield Case("3 channels, --channels 3", (three, "--channels", "3"), found=lasts, speech=True)
    yield Case(
        "--channels 0", (three, "--channels", "0"), 2, "expected mix, split or the number of a channel"
    )
    soundfile.write(folder / "call.wav", np.stack([speech, np.zeros_like(speech)], 1), 16000)
    split = (str(folder / "call.wav"), "--channels", "split")
    yield Case("--channels split, one channel silent", split, found=lasts, speech=True)
    soundfile.write(folder / "against.wav", np.stack([speech, -speech], 1), 16000)
    yield Case("two channels that cancel out", (str(folder / "against.wav"),), found=lasts)
    yield Case(
        "the same, --channels 1", (str(folder / "against.wav"), "--channels", "1"), found=lasts, speech=True
    )

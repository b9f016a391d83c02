"""Unusual, damaged and invalid recordings, and the result expected of `sed-run` for each.

`recordings(folder)` writes them and yields one `Case` each. It needs the ffmpeg program for containers that libsndfile
cannot write.
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
    """One run of a command: a description, its arguments, and the expected outcome.

    `status` is the exit status, `message` a text that the single message must contain (empty: no message at all), and
    `duration` the recording's duration in seconds in the result (None: there must be no result). `speech` is whether
    segments are expected. `piped` goes to standard input. `unprivileged` runs the command without the privileges of
    root; `lines` is the maximum number of lines of the message.
    """

    name: str
    arguments: tuple[str, ...]
    status: int = 0
    message: str = ""
    duration: float | None = None
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
    """The 44 header bytes of a plain WAV; the values need not be valid."""
    width = channels * bits // 8 if align is None else align
    form_chunk = struct.pack("<HHIIHH", form, channels, rate, rate * width & 0xFFFFFFFF, width, bits)
    whole = struct.pack("<I", (36 + data) & 0xFFFFFFFF)
    return b"RIFF" + whole + b"WAVEfmt \x10\0\0\0" + form_chunk + b"data" + struct.pack("<I", data)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg. Raises `CalledProcessError` if it fails."""
    subprocess.run(["ffmpeg", "-y", "-nostdin", "-v", "error", *map(str, arguments)], check=True)


def recordings(folder: Path) -> Iterator[Case]:
    """Every case; its files are written to `folder` just before it is yielded."""
    yield from _not_audio(folder)
    yield from _unusual_samples(folder)
    yield from _unusual_formats(folder)
    yield from _wrong_headers(folder)
    yield from _truncated(folder)
    yield from _channels(folder)


def _speech() -> np.ndarray:
    return soundfile.read(SPEECH, dtype="float32")[0]


def _not_audio(folder: Path) -> Iterator[Case]:
    def refused(title: str, name: str, content: bytes, message: str) -> Case:
        (folder / name).write_bytes(content)
        return Case(title, (str(folder / name),), 1, message)

    noise = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()
    yield refused("text named .wav", "text.wav", b"this is not audio\n" * 100, "found text, expected audio")
    yield refused("a playlist named .mp3", "list.mp3", b"#EXTM3U\nhttp://127.0.0.1:9/x.mp3\n", "found text")
    yield refused(
        "ffmpeg's concat list", "concat.mka", b"ffconcat version 1.0\nfile /etc/passwd\n", "found text"
    )
    yield refused("an empty file", "empty.wav", b"", "found an empty file, expected audio")
    yield refused("random bytes", "random.wav", noise, "found bytes of no known format")
    yield refused("zeros", "zeros.flac", bytes(20_000), "found bytes of no known format")
    yield refused("a PNG named .wav", "picture.wav", b"\x89PNG\r\n\x1a\n" + noise, "found a PNG image")
    yield refused("a ZIP named .ogg", "archive.ogg", b"PK\x03\x04" + noise, "found a ZIP archive")
    yield refused("only an ID3 tag", "tag.mp3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), "MP3")
    (folder / "folder.wav").mkdir()
    yield Case(
        "an empty folder named x.wav", (str(folder / "folder.wav"),), 2, "expected audio files in this folder"
    )
    yield Case("a missing file", (str(folder / "missing.wav"),), 1, "no such file")
    (folder / "dangling.wav").symlink_to(folder / "nowhere.wav")
    yield Case("a link to a missing file", (str(folder / "dangling.wav"),), 1, "no such file")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    yield Case("a link to itself", (str(folder / "loop.wav"),), 1, "symbolic links")
    yield Case("/dev/null", ("/dev/null",), 1, "found no bytes")
    soundfile.write(folder / "secret.wav", _speech(), 16000)
    (folder / "secret.wav").chmod(0)
    yield Case("no permission", (str(folder / "secret.wav"),), 1, "no permission", unprivileged=True)
    yield Case("standard input, empty", ("-",), 1, "stdin: found no bytes", piped=b"")
    yield Case("standard input, text", ("-",), 1, "stdin: found text", piped=b"hello\n" * 90)
    yield Case(
        "standard input, audio",
        ("-",),
        duration=len(_speech()) / 16000,
        speech=True,
        piped=SPEECH.read_bytes(),
    )
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:d=1", folder / "video.mp4")
    yield Case("a video without audio", (str(folder / "video.mp4"),), 1, "video without audio")
    (folder / "headless.raw").write_bytes(np.zeros(16000, np.int16).tobytes())
    yield Case("samples without a header", (str(folder / "headless.raw"),), 1, "samples without a header")


def _unusual_samples(folder: Path) -> Iterator[Case]:
    speech = _speech()
    seconds = len(speech) / 16000

    def wav(name: str, samples: np.ndarray, subtype: str = "FLOAT", rate: int = 16000) -> tuple[str]:
        soundfile.write(folder / name, samples, rate, subtype=subtype)
        return (str(folder / name),)

    yield Case("no samples at all", wav("none.wav", np.zeros(0)), duration=0.0)
    yield Case("one sample", wav("one.wav", np.zeros(1)), duration=1 / 16000)
    yield Case("1 ms", wav("millisecond.wav", np.full(16, 0.1)), duration=0.001)
    yield Case("silence", wav("silence.wav", np.zeros(32000)), duration=2.0)
    yield Case("direct current", wav("dc.wav", np.full(32000, 0.3)), duration=2.0)
    yield Case("clipped", wav("clipped.wav", np.clip(40 * speech, -1, 1)), duration=seconds, speech=True)
    yield Case("very quiet, -60 dB", wav("quiet.wav", 0.001 * speech), duration=seconds)
    broken = speech.copy()
    broken[8000] = np.nan
    yield Case("a NaN", wav("nan.wav", broken), 1, "not a finite number at 0.500 s")
    broken[8000] = -np.inf
    yield Case("an infinity", wav("inf.wav", broken), 1, "not a finite number at 0.500 s")
    yield Case("16-bit integers as floats", wav("scale.wav", 32768 * speech), 1, "expected a full scale of 1")
    yield Case("10 Hz", wav("slow.wav", np.zeros(90), "PCM_16", 10), 1, "10 Hz: expected 1000 to 384000 Hz")
    yield Case("900 kHz", wav("fast.wav", np.zeros(900), "PCM_16", 900_000), 1, "expected 1000 to 384000 Hz")


def _unusual_formats(folder: Path) -> Iterator[Case]:
    speech = _speech()
    seconds = len(speech) / 16000
    many = np.repeat(np.repeat(speech, 6)[:, None], 8, 1)
    soundfile.write(folder / "studio.wav", many, 96000, subtype="PCM_24")
    yield Case("96 kHz, 8 channels, 24 bits", (str(folder / "studio.wav"),), duration=seconds, speech=True)
    for subtype in ("DOUBLE", "PCM_U8", "ALAW", "MS_ADPCM"):
        soundfile.write(folder / f"{subtype}.wav", speech, 16000, subtype=subtype)
        yield Case(f"WAV of {subtype}", (str(folder / f"{subtype}.wav"),), duration=seconds, speech=True)
    for name, codec in (("a:b 100%.m4a", "aac"), ("video.mkv", "pcm_s16le"), ("mp3.wav", "libmp3lame")):
        ffmpeg("-i", SPEECH, "-c:a", codec, f"file:{folder / name}")
        more = 0.1 if codec == "libmp3lame" else 0.0  # silence that the encoder adds and a WAV does not state
        yield Case(
            f"{codec} in {Path(name).suffix}", (str(folder / name),), duration=seconds + more, speech=True
        )
    name = "two\nlines.wav"
    soundfile.write(folder / name, speech, 16000)
    yield Case("a name of two lines", (str(folder / name),), duration=seconds, speech=True)
    yield Case("the same, as RTTM", (str(folder / name), "-o", str(folder / "out.rttm")))
    (folder / "full.rttm").symlink_to("/dev/full")
    yield Case(
        "a full disk", (str(SPEECH), "-o", str(folder / "full.rttm")), 1, "cannot be written (No space left"
    )
    yield Case(
        "an output that may not be written", (str(SPEECH), "-o", "/proc/out.rttm"), 1, "cannot be written"
    )
    (folder / "text\n.wav").write_text("not audio")
    yield Case("text, in a name of two lines", (str(folder / "text\n.wav"),), 1, "found text, expected audio")


def _wrong_headers(folder: Path) -> Iterator[Case]:
    samples = (np.clip(_speech(), -1, 1) * 32767).astype("<i2").tobytes()
    seconds = len(samples) / 32000

    def written(name: str, content: bytes) -> tuple[str]:
        (folder / name).write_bytes(content)
        return (str(folder / name),)

    yield Case(
        "WAV of 0 channels",
        written("c0.wav", wav_header(channels=0) + samples),
        1,
        "a WAV header with 0 channels",
    )
    yield Case("WAV of 0 Hz", written("r0.wav", wav_header(rate=0) + samples), 1, "at 0 Hz, expected")
    yield Case(
        "WAV of 0 bits",
        written("b0.wav", wav_header(bits=0, data=len(samples)) + samples),
        1,
        "unknown codec",
    )
    yield Case(
        "WAV of an unknown codec",
        written("codec.wav", wav_header(form=0x7777, data=len(samples)) + samples),
        1,
        "unknown codec",
    )
    yield Case("WAV that ends in its header", written("cut.wav", wav_header()[:30]), 1, "damaged RIFF")
    yield Case("WAV with a header only", written("head.wav", wav_header(data=0)), duration=0.0)
    unfinished = written("unfinished.wav", wav_header(data=0) + samples)
    yield Case(
        "WAV never finalised: length 0", unfinished, 0, "never completed", duration=seconds, speech=True
    )
    streamed = written("streamed.wav", wav_header(data=0xFFFFFFFF) + samples)
    yield Case("WAV streamed: length 4 GiB", streamed, duration=seconds, speech=True)
    long = written("long.wav", wav_header(data=2 * len(samples)) + samples)
    yield Case("WAV that states twice its length", long, 0, "truncated", duration=seconds, speech=True)
    short = written("short.wav", wav_header(data=16000) + samples)
    yield Case(
        "WAV that states 0.5 s, followed by more",
        short,
        0,
        "bytes after them are not used",
        duration=0.5,
        speech=True,
    )
    odd = written("odd.wav", wav_header(data=len(samples) - 1) + samples[:-1])
    yield Case("WAV with half a sample at its end", odd, duration=seconds - 1 / 16000, speech=True)


def _truncated(folder: Path) -> Iterator[Case]:
    speech = np.tile(_speech(), 6)
    seconds = len(speech) / 16000
    soundfile.write(folder / "whole.wav", speech, 16000)
    codecs = {"wav": "pcm_s16le", "flac": "flac", "ogg": "libvorbis", "opus": "libopus", "mp3": "libmp3lame"}
    for suffix, codec in codecs.items():
        path = folder / f"broken.{suffix}"
        ffmpeg("-i", folder / "whole.wav", "-c:a", codec, path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
        name = f"{suffix.upper()}, 60 % of the file"
        message = "damaged; the" if suffix == "flac" else "truncated"
        yield Case(name, (str(path),), 0, message, duration=0.6 * seconds, speech=True)
        path = folder / f"stub.{suffix}"
        path.write_bytes(whole[:100])
        stub = (f"{suffix.upper()}, 100 bytes of the file", (str(path),))
        yield (
            Case(*stub, 0, "truncated", duration=11 / 16000) if suffix == "wav" else Case(*stub, 1, "damaged")
        )
    ffmpeg("-i", folder / "whole.wav", folder / "broken.m4a")
    whole = (folder / "broken.m4a").read_bytes()
    (folder / "broken.m4a").write_bytes(whole[: len(whole) // 2])
    yield Case("M4A, half of the file", (str(folder / "broken.m4a"),), 1, "damaged or unfinished MP4")
    for kind in ("flac", "mp3"):
        path = folder / f"flipped.{kind}"
        ffmpeg("-i", folder / "whole.wav", path)
        damaged = bytearray(path.read_bytes())
        for position in np.random.default_rng(1).integers(len(damaged) // 3, len(damaged), 20):
            damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        yield Case(
            f"{kind.upper()} with 20 wrong bytes",
            (str(path),),
            0,
            "damaged; the" if kind == "flac" else "",
            duration=seconds,
            speech=True,
        )


def _channels(folder: Path) -> Iterator[Case]:
    speech = _speech()
    seconds = len(speech) / 16000
    soundfile.write(folder / "three.wav", np.repeat(speech[:, None], 3, 1), 16000)
    three = str(folder / "three.wav")
    yield Case(
        "3 channels, --channels 5", (three, "--channels", "5"), 1, "found 3 channels, expected a channel 5"
    )
    yield Case("3 channels, --channels 3", (three, "--channels", "3"), duration=seconds, speech=True)
    yield Case(
        "--channels 0", (three, "--channels", "0"), 2, "expected mix, split or the number of a channel"
    )
    soundfile.write(folder / "call.wav", np.stack([speech, np.zeros_like(speech)], 1), 16000)
    split = (str(folder / "call.wav"), "--channels", "split")
    yield Case("--channels split, one channel silent", split, duration=seconds, speech=True)
    soundfile.write(folder / "against.wav", np.stack([speech, -speech], 1), 16000)
    against = (str(folder / "against.wav"),)
    yield Case("two channels that cancel", against, 0, "opposite polarity", duration=seconds, speech=True)
    yield Case(
        "the same, --channels 1",
        (str(folder / "against.wav"), "--channels", "1"),
        duration=seconds,
        speech=True,
    )

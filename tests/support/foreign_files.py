"""Files that refer to another recording which a player would open: playlists, manifests, references in containers.

`write_attacks(folder, secrets)` writes them; `OpenedFiles` (Linux) records which files of a folder any process opens.
"""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

NON_TEXT = (b"\xff", b"\x01", b"\x00", b"\xc3(")  # bytes that do not occur in text
SUFFIXES = (".m3u8", ".mpd", ".ts", ".wav", ".mp4")  # ffmpeg also uses the suffix
SECRETS = ("secret.ts", "secret.m4a", "secret.wav", "secret.mkv")


def write_secrets(folder: Path, recording: Path) -> list[Path]:
    """Write `recording` in containers that playlists can refer to."""
    paths = [folder / name for name in SECRETS]
    codec = {".wav": "pcm_s16le"}
    for path in paths:
        make = ["ffmpeg", "-y", "-v", "error", "-i", recording, "-c:a", codec.get(path.suffix, "aac"), path]
        subprocess.run(make, check=True)
    return paths


def write_attacks(folder: Path, secrets: Sequence[Path], thorough: bool = False) -> list[Path]:
    """Write attacks on the `secrets` to `folder`: two of each kind, or all combinations if `thorough`."""
    paths = []
    for number, (suffix, content) in enumerate(_attacks(folder, secrets, thorough)):
        path = folder / f"attack{number}{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def _attacks(folder: Path, secrets: Sequence[Path], thorough: bool) -> Iterator[tuple[str, bytes]]:
    suffixes = ("", *SUFFIXES)
    rotation = 0
    for index, secret in enumerate(secrets if thorough else secrets[:2]):
        names = (os.path.relpath(secret, folder), str(secret), f"file:{secret}", f"file://{secret}")
        for kind in range(len(list(_texts("", secret)))):
            for number, name in enumerate(names):
                text = list(_texts(name, secret))[kind].encode("latin-1")
                if thorough:
                    yield from ((s, text.replace(b"@", byte)) for byte in NON_TEXT for s in suffixes)
                elif kind % 2 == index and number in (0, 1 + kind % 3):  # byte and suffix rotate
                    yield suffixes[rotation % 6], text.replace(b"@", NON_TEXT[rotation % 4])
                    rotation += 1
    for secret in secrets if thorough else secrets[-2:-1]:
        yield ".mkv", _linked_matroska(secrets, secret)
        yield ".mov", mov_with_external_audio(secret)


def _texts(name: str, secret: Path) -> Iterator[str]:
    """Playlists in text; @ marks the position of a non-text byte."""
    yield f"#EXTM3U\n#@\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\n{name}\n#EXT-X-ENDLIST\n"
    yield f'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-MAP:URI="{name}"\n#EXTINF:9,@\n{name}\n'
    yield f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1@\n{name}\n"
    yield f"ffconcat version 1.0\n#@\nfile '{name}'\n"
    yield f"#EXTM3U\n#EXTINF:9,@\n{name}\n#EXT-X-ENDLIST\n"
    mime = "audio/mp4" if secret.suffix in (".m4a", ".mov") else "audio/webm"
    yield (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">\n<Period>'
        f'<AdaptationSet mimeType="{mime}"><Representation id="1" bandwidth="9"><BaseURL>{name}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>\n<!--\xff@-->"
    )
    yield f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=@\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{name}\nm=audio 5004 RTP/AVP 0\n"


def _linked_matroska(secrets: Sequence[Path], secret: Path) -> bytes:
    """A Matroska file of 0.1 s whose segment is linked to `secret`."""
    source = next(path for path in secrets if path.suffix == ".mkv")
    options = ["-c", "copy", "-t", "0.1", "-f", "matroska", "-live", "1"]
    make = ["ffmpeg", "-v", "error", "-i", source, *options, "-"]
    whole = subprocess.run(make, check=True, capture_output=True).stdout
    at = whole.index(bytes.fromhex("1549A966")) + 4
    length = 1
    while not whole[at] & (0x80 >> (length - 1)):
        length += 1
    size = int.from_bytes(whole[at : at + length], "big") & ((1 << 7 * length) - 1)
    name = str(secret).encode()
    links = bytes.fromhex("3E83BB") + _vint(len(name)) + name  # NextFilename
    links += bytes.fromhex("3C83AB") + _vint(len(name)) + name  # PrevFilename
    links += bytes.fromhex("3EB923") + _vint(16) + bytes(range(16))  # NextUID
    return (
        whole[:at]
        + _vint(size + len(links))
        + whole[at + length : at + length + size]
        + links
        + whole[at + length + size :]
    )


def _vint(value: int) -> bytes:
    return (value | 1 << 56).to_bytes(8, "big")


def mov_with_external_audio(secret: Path) -> bytes:
    """A QuickTime file whose only track refers to samples (16-bit PCM at 16 kHz) in the file `secret`, by an alias."""
    path = str(secret).encode()
    name = secret.name.encode()
    alias = struct.pack(">4sHHH", b"\0\0\0\0", 0, 2, 0) + bytes([0]) + bytes(27) + bytes(12)
    alias = alias[:10] + bytes([1]) + b"x".ljust(27, b"\0") + bytes(12)  # volume
    alias += (
        bytes([len(name)]) + name[:63].ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 1, 2) + bytes(16)
    )
    alias += struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2)  # absolute path
    alias += struct.pack(">hH", -1, 0)
    frames = 16000
    dref = _full(b"dref", struct.pack(">I", 1) + _box(b"alis", bytes(4) + alias))
    description = struct.pack(">6xHHHIHHHHI", 1, 0, 0, 0, 1, 16, 0, 0, 16000 << 16)
    stbl = _full(b"stsd", struct.pack(">I", 1) + _box(b"sowt", description))
    stbl += _full(b"stts", struct.pack(">III", 1, frames, 1))
    stbl += _full(b"stsc", struct.pack(">IIII", 1, 1, frames, 1))
    stbl += _full(b"stsz", struct.pack(">II", 2, frames)) + _full(b"stco", struct.pack(">II", 1, 44))
    minf = _full(b"smhd", bytes(4)) + _box(b"dinf", dref) + _box(b"stbl", stbl)
    mdia = _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 16000, frames, 0, 0))
    mdia += _full(b"hdlr", b"mhlrsoun" + bytes(13)) + _box(b"minf", minf)
    tkhd = struct.pack(">IIIII", 0, 0, 1, 0, frames) + bytes(60)
    mvhd = struct.pack(">IIII", 0, 0, 16000, frames) + bytes(80)
    trak = _box(b"trak", _full(b"tkhd", tkhd, 7) + _box(b"mdia", mdia))
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", _full(b"mvhd", mvhd) + trak)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _full(kind: bytes, content: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags) + content)


class OpenedFiles:
    """Records which files of a folder any process opens while this context is active (Linux).

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, OpenedFiles(Path(file.name).parent) as opened:
    ...     _ = open(file.name).close()
    ...     Path(file.name).name in opened.names()
    True
    """

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(folder), 0x20) < 0:  # IN_OPEN
            raise OSError(ctypes.get_errno(), "inotify")

    def names(self) -> set[str]:
        """The names of the files opened since the last call."""
        found = set()
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                length = struct.unpack("iIII", data[:16])[3]
                found.add(data[16 : 16 + length].rstrip(b"\0").decode())
                data = data[16 + length :]

    def __enter__(self) -> OpenedFiles:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

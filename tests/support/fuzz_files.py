"""Files for the fuzzer: real containers, playlists that name a foreign recording, annotations; and seeded mutations.

Everything follows from a seed. `seeds` makes the files that mutations start from; `mutate` changes one of them.
"""

from __future__ import annotations

import json
import random
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

# Container (as the suffix) and what ffmpeg needs for it; the audio is 1 s of a tone.
CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "wav": (),
    "flac": (),
    "ogg": ("-c:a", "libvorbis"),
    "opus": ("-c:a", "libopus"),
    "mp3": (),
    "aiff": (),
    "au": (),
    "caf": (),
    "w64": (),
    "rf64.wav": ("-rf64", "always"),
    "m4a": ("-c:a", "aac"),
    "mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "mov": ("-c:a", "pcm_s16le"),
    "mka": ("-c:a", "libvorbis"),
    "webm": ("-c:a", "libopus"),
    "ts": ("-c:a", "aac"),
    "avi": ("-c:a", "pcm_s16le"),
    "wma": ("-c:a", "wmav2"),
    "flv": ("-c:a", "aac", "-ar", "44100"),
    "ac3": (),
    "aac": (),
    "wv": (),
    "tta": (),
}

RTTM = "SPEAKER call 1 0.5 1.25 angry <NA> spk00 0.71 <NA>\nSPEAKER call 1 2.0 0.5 sad <NA> spk01 0.5 <NA>\n"
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "emotion"
        xmin = 0
        xmax = 2
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "sad"
"""
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="900"/></TIME_ORDER>
<TIER TIER_ID="emotion"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
<ANNOTATION_VALUE>sad</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
</ANNOTATION></TIER></ANNOTATION_DOCUMENT>
"""
ANNOTATIONS: Mapping[str, str] = {
    "a.rttm": RTTM,
    "b.json": json.dumps(
        {"call": [{"start": 0.0, "end": 1.5, "emotion": "n"}, {"start": 1.5, "end": 2, "emotion": "a"}]}
    ),
    "c.json": json.dumps(
        [{"session_id": "call", "speaker": "A", "start_time": 0.1, "end_time": 1.0, "words": "hi"}]
    ),
    "d.csv": "file,start,end,emotion\ncall.wav,0 days 00:00:00,0 days 00:00:01.5,angry\n",
    "e.txt": "0.0\t1.5\tangry\n1.5\t2.0\tsad\n",
    "f.vtt": "WEBVTT\n\n00:00.000 --> 00:01.500\n<v Anna>angry\n",
    "g.TextGrid": TEXTGRID,
    "h.eaf": EAF,
    "i.emotionml": '<emotionml xmlns="http://www.w3.org/2009/10/emotionml" version="1.0"><emotion start="0" end="900">'
    '<category name="sad"/></emotion></emotionml>',
    "j.uem": "call 1 0.0 2.0\n",
    "k.lab": "0 15000000 angry\n15000000 20000000 sad\n",
}

TAGS = (
    "ffconcat version 1.0\nfile '{target}'\n",
    "ffconcat version 1.0\nfile 'file:{target}'\n",
    "#EXTM3U\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:{target}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:36000,\n{target}\n",
    '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-MAP:URI="{target}"\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n',
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S">'
    '<Period><AdaptationSet mimeType="audio/mp4"><BaseURL>{target}</BaseURL><Representation id="1" bandwidth="1">'
    '<SegmentList duration="2"><SegmentURL media="{target}"/></SegmentList></Representation></AdaptationSet></Period>'
    "</MPD>",
    '<smil><body><audio src="{target}"/></body></smil>',
    "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    "[Reference]\nRef1={target}\n",
)
DIRT = (b"", b"\xff", b"\x00", b"\x01", b"\x0b", b"#\xff\xfe\n", b"# \x80\x81\n")


def playlists(target: Path) -> dict[str, bytes]:
    """Playlists of every kind that name the recording `target`, clean and with bytes that are no text.

    >>> len(playlists(Path("/x/foreign.wav"))) >= 60
    True
    """
    found = {}
    for kind, text in enumerate(TAGS):
        body = text.format(target=target).encode()
        first, _, rest = body.partition(b"\n")
        for dirt_number, dirt in enumerate(DIRT):
            name = f"playlist_{kind:02}_{dirt_number}"
            found[name] = (
                first + b"\n" + (b"# " + dirt + b"\n" if dirt and body.startswith(b"#") else dirt) + rest
            )
    return found


def external_reference(target: Path) -> bytes:
    """A MOV file whose only track has its samples in another file, `target` (a ``dref`` entry ``url ``)."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", 8 + len(body)) + kind + body

    def full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
        return box(kind, struct.pack(">I", flags), *parts)

    alias = str(target).encode() + b"\0"
    dref = full(b"dref", struct.pack(">I", 1), full(b"url ", b"file://" + alias))
    entry = box(
        b"sowt", b"\0" * 6, struct.pack(">H", 1), b"\0" * 8, struct.pack(">HHHHI", 1, 16, 0, 0, 16000 << 16)
    )
    tables = [
        full(b"stsd", struct.pack(">I", 1), entry),
        full(b"stts", struct.pack(">III", 1, 16000, 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, 16000, 1)),
        full(b"stsz", struct.pack(">II", 2, 16000)),
        full(b"stco", struct.pack(">II", 1, 44)),
    ]
    head = full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 16000, 16000, 0, 0))
    handler = full(b"hdlr", b"mhlr", b"soun", b"\0" * 12, b"\0")
    media = box(
        b"mdia",
        head,
        handler,
        box(b"minf", full(b"smhd", b"\0" * 4), box(b"dinf", dref), box(b"stbl", *tables)),
    )
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    track_head = full(
        b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, 16000), b"\0" * 16, matrix, b"\0" * 8, flags=7
    )
    movie_head = full(
        b"mvhd", struct.pack(">IIIIIH", 0, 0, 16000, 16000, 0x10000, 0x100), b"\0" * 10, matrix, b"\0" * 24
    )
    return (
        box(b"ftyp", b"qt  ", b"\0" * 4, b"qt  ")
        + box(b"moov", movie_head, box(b"trak", track_head, media))
        + box(b"mdat")
    )


def seeds(folder: Path, target: Path) -> dict[str, bytes]:
    """The files that mutations start from; `target` is the foreign recording that some of them name."""
    found = {name: text.encode() for name, text in ANNOTATIONS.items()}
    found |= playlists(target)
    found["dref.mov"] = external_reference(target)
    for suffix, options in CONTAINERS.items():
        path = folder / f"seed.{suffix}"
        source = ["-f", "lavfi", "-i", "sine=frequency=300:duration=1:sample_rate=16000"]
        command = ["ffmpeg", "-v", "error", "-y", *source, *options, str(path)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            found[path.name] = path.read_bytes()
    return found


def mutate(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """`data` with one to eight changes: bits, bytes, lengths, cuts, repeats, pieces of another file."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not out:
            break
        at = rng.randrange(min(len(out), rng.choice((64, 512, len(out)))) or 1)
        kind = rng.randrange(9)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + 1] = rng.randbytes(1)
        elif kind == 2:  # a length or a count at its extremes
            size = rng.choice((2, 4, 8))
            value = rng.choice(
                (0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1), 0x7FFFFFFF & ((1 << 8 * size) - 1))
            )
            out[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))
        elif kind == 3:
            del out[at : at + rng.choice((1, 4, 64, 1000))]
        elif kind == 4:
            out[at:at] = rng.randbytes(rng.choice((1, 4, 64)))
        elif kind == 5:
            del out[max(at, 1) :]
        elif kind == 6:
            piece = bytes(out[at : at + rng.choice((16, 256))])
            out[at:at] = piece * rng.choice((1, 2, 50))
        elif kind == 7:
            other = rng.choice(others)
            start = rng.randrange(len(other) or 1)
            out[at:at] = other[start : start + rng.choice((16, 256, 4096))]
        else:
            out[at:at] = rng.choice(
                (*DIRT, b"-1", b"nan", b"1e999", b"%00", "\u00a0".encode(), b"<!ENTITY x 'y'>")
            )
    return bytes(out[: 1 << 20])

"""Hostile files, and what reading one costs, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.lib.report import ROOT

sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "robustness")]

LIMIT = 60.0  # seconds after which a file is given up
CLIP = ROOT / "tests" / "data" / "emodb_16_sad_1.flac"


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg quietly."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def hostile_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that are small and dear: what they are, and where."""
    channels, frames = 1024, 31 * 1024
    data = channels * frames * 2
    head = b"RIFF" + struct.pack("<I", 36 + data) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, channels, 16000, 16000 * channels * 2, (channels * 2) & 0xFFFF, 16)
    with (folder / "channels.wav").open("wb") as file:
        file.write(head + b"data" + struct.pack("<I", data))
        file.truncate(44 + data)
    yield "WAV, 1,024 channels, 64 MB", folder / "channels.wav"
    with soundfile.SoundFile(folder / "rate.flac", "w", 655_350, 8) as flac:
        for _ in range(60):
            flac.write(np.zeros((655_350, 8), np.int16))
    yield "FLAC, 8 channels, 655 kHz, 60 s", folder / "rate.flac"
    raw = folder / "many.raw"
    np.tile((3000 * np.sin(np.arange(48_000 * 20) / 20)).astype("<i2")[:, None], 64).tofile(raw)
    ffmpeg(
        *("-f", "s16le", "-ar", "48000", "-ac", "64", "-i", raw),
        *("-c:a", "libopus", "-mapping_family", "255", "-b:a", "1M", folder / "many.opus"),
    )
    raw.unlink()
    yield "Opus, 64 channels, 20 s", folder / "many.opus"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "anullsrc=channel_layout=mono:sample_rate=8000",
        "-t",
        "14400",
        folder / "long.flac",
    )
    yield "FLAC, 4 h of silence", folder / "long.flac"
    (folder / "live.m3u8").write_bytes(
        b"#EXTM3U\n#\xff\n#EXT-X-TARGETDURATION:36000\n#EXTINF:36000,\n" + str(CLIP).encode() + b"\n"
    )
    yield "live playlist of 36,000 s with a byte that is no text", folder / "live.m3u8"


def read_file(code: Path, path: Path) -> dict[str, Any]:
    """Read `path` in a new process: outcome, seconds, peak megabytes with children."""
    worker = ROOT / "tests" / "support" / "fuzz_worker.py"
    environment = {**os.environ, "PYTHONPATH": str(code)}
    measure = (
        "import resource, subprocess, sys; p = subprocess.run(sys.argv[1:], stdin=sys.stdin);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", measure, sys.executable, str(worker)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    began = time.monotonic()
    try:
        out, _ = process.communicate(f"{path}\n", timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"outcome": "hang", "seconds": time.monotonic() - began, "mb": 0.0, "text": ""}
    row, peak = out.strip().splitlines()[-2:]
    found = json.loads(row)
    return {
        "outcome": found["outcome"],
        "seconds": found["seconds"],
        "mb": int(peak) / 1024,
        "text": found["text"],
    }


def foreign_files(code: Path, folder: Path) -> dict[str, int]:
    """How many of all playlists and references open the recording that they name, and how many are read as audio."""
    from fuzz import OpenWatch, Worker
    from fuzz_files import external_reference, playlists

    private = folder / "private"
    private.mkdir(exist_ok=True)
    target = private / "foreign.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=500:duration=2:sample_rate=16000", target)
    files = {**playlists(target), "dref.mov": external_reference(target)}
    watch, worker = OpenWatch(private), Worker(code, 20.0)
    opened = heard = 0
    for name, body in files.items():
        path = folder / f"upload_{name}"
        path.write_bytes(body)
        heard += worker.read(path)["outcome"] == "ok"
        opened += watch.opened()
        path.unlink()
    worker.stop()
    return {"files": len(files), "opened": opened, "heard": heard}

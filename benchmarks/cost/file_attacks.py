"""Effects of malicious files: memory, foreign recordings that get opened, hyperparameters that expand exponentially.

    python -m benchmarks.cost.file_attacks [--before FOLDER] [--every N]

`--before` is an earlier checkout of sed for comparison; every N-th of 2,696 attacks with playlists and references is
run. Each file is read in a separate process, for at most `TIMEOUT` seconds. Writes results/file_attacks.md
and .json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.lib.report import ROOT, commit, machine, save, table

sys.path.insert(0, str(ROOT / "tests" / "support"))
from foreign_files import OpenedFiles, write_attacks, write_secrets

SPEECH = ROOT / "tests" / "data" / "emodb_16_sad_1.flac"
TIMEOUT = 60.0  # seconds
MEASURE = """
import logging, sys, time
from sed.audio import open_audio
from sed.errors import SedError
logging.disable(logging.CRITICAL)

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) >> 10

def read(path):
    try:
        with open_audio(path) as audio:
            return f"{sum(map(len, audio)) / 16000:.1f} s of audio"
    except SedError as error:
        return str(error).removeprefix(path + ": ")

read(sys.argv[1])
before, started = peak(), time.monotonic()
print(peak() - before, round(time.monotonic() - started, 1), read(sys.argv[2]), peak() - before, sep="|")
"""
READ = """
import logging, sys
from sed.audio import open_audio
from sed.errors import SedError
logging.disable(logging.CRITICAL)
try:
    with open_audio(sys.argv[1]) as audio:
        sum(map(len, audio))
except SedError:
    pass
"""
YAML = """
from sed.emotion.hyperyaml import read_hyperyaml
from sed.errors import SedError
text = "a0: &a0 [x, x, x, x, x, x, x, x, x]"
text += "".join(f"\\na{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 9))
try:
    read_hyperyaml(text, "hyperparams.yaml")
except SedError as error:
    print(error)
"""


def run(code: str, checkout: Path, *arguments: Path, timeout: float = TIMEOUT) -> str | None:
    """The output of a program with the sed of `checkout`; None if it does not end in time."""
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return None


def claims(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that claim many channels or a high rate."""
    for text, name, channels, rate, seconds, subtype in (
        ("WAV, 1,024 channels, 64 MB", "a.wav", 1024, 384_000, 0.08, "PCM_16"),
        ("WAV, 32 channels at 384 kHz, 8 bit, 123 MB", "b.wav", 32, 384_000, 10, "PCM_U8"),
        ("WAV, 32 channels at 384 kHz, 24 bit, 111 MB", "c.wav", 32, 384_000, 3, "PCM_24"),
        ("WAV, 32 channels at 96 kHz, float64, 246 MB", "d.wav", 32, 96_000, 10, "DOUBLE"),
        ("FLAC, 8 channels at 655 kHz", "e.flac", 8, 655_350, 20, "PCM_16"),
        ("FLAC, 8 channels at 384 kHz, 24 bit", "f.flac", 8, 384_000, 20, "PCM_24"),
        ("FLAC, 4 h of silence", "g.flac", 1, 16_000, 14_400, "PCM_16"),
    ):
        with soundfile.SoundFile(folder / name, "w", rate, channels, subtype=subtype) as file:
            left = round(rate * seconds)
            while left > 0:
                file.write(np.zeros((min(left, 1 << 20), channels), np.int16))
                left -= 1 << 20
        size = (folder / name).stat().st_size
        yield (text if "MB" in text else f"{text}, {size / 1e6:.1f} MB"), folder / name
    make = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        folder / "d.wav",
        "-c:a",
        "pcm_s16le",
        "-ar",
        "192000",
        folder / "h.mov",
    ]
    subprocess.run(make, check=True)
    yield "MOV, 32 channels at 192 kHz, 16 bit, 123 MB", folder / "h.mov"


def opened(checkout: Path, folder: Path, every: int) -> tuple[int, int, int]:
    """Number of attacks, of those that open another recording, and of those that do not end within 5 s."""
    (folder / "secrets").mkdir(exist_ok=True)
    secrets = write_secrets(folder / "secrets", SPEECH)
    attacks = write_attacks(folder, secrets, thorough=True)[::every]
    found = hung = 0
    with OpenedFiles(folder / "secrets") as names:
        for path in attacks:
            hung += run(READ, checkout, path, timeout=5.0) is None
            found += bool(names.names())
    return len(attacks), found, hung


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, metavar="FOLDER")
    parser.add_argument("--every", type=int, default=27, metavar="N")
    options = parser.parse_args()
    sides = {"before": options.before} if options.before else {}
    sides["now"] = ROOT
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for text, path in claims(folder):
            row = [text]
            for checkout in sides.values():
                answer = (run(MEASURE, checkout, SPEECH, path) or "|||").strip().split("|")
                row.append(f"{answer[3]} MB: {answer[2]}" if answer[3] else f"not within {TIMEOUT:.0f} s")
            rows.append(row)
            print(*row, sep=" | ", flush=True)
        (folder / "foreign").mkdir()
        row = ["playlists, manifests, references that open another recording, or hang"]
        for checkout in sides.values():
            count, found, hung = opened(checkout, folder / "foreign", options.every)
            row.append(f"{found} of {count} open, {hung} hang")
        rows.append(row)
        row = ["hyperparams.yaml of 467 bytes with nested aliases"]
        for checkout in sides.values():
            answer = run(YAML, checkout, timeout=20.0)
            row.append("not within 20 s" if answer is None else answer.strip())
        rows.append(row)
    lines = [
        "# Attacks with files",
        "",
        f"`python -m benchmarks.cost.file_attacks`, commit {commit()}, {machine()}.",
        "",
    ]
    lines += ["Memory is the additional peak of a process that has read another file before.", ""]
    lines += [table(["file", *sides], rows)]
    print("\n".join(lines))
    save("file_attacks", "\n".join(lines) + "\n", {"columns": list(sides), "rows": rows})


if __name__ == "__main__":
    main()

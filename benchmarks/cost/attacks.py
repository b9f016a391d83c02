"""What hostile files and clients cost: the same attacks against two checkouts, before and after.

    python -m benchmarks.cost.attacks --before CHECKOUT      # into benchmarks/results/attacks.{md,json}

Files are read in a process of its own (`tests/support/fuzz_worker.py`): how it ended, seconds, peak memory over the
base of that process (children included), and whether a foreign recording was opened. A real `sed-serve` is attacked on
the loopback interface while a bystander uploads a small recording once a second: how long it waits at most, and what
it is told. All loops are bounded.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.lib.attack_clients import ATTACKS, bystander
from benchmarks.lib.attack_files import LIMIT, ffmpeg, foreign_files, hostile_files, read_file
from benchmarks.lib.report import ROOT, commit, machine, save, table


def measure(code: Path, seconds: float) -> dict[str, Any]:
    """All attacks on one checkout."""
    with tempfile.TemporaryDirectory(prefix="attacks-") as name:
        folder = Path(name)
        tone = folder / "tone.wav"
        ffmpeg("-f", "lavfi", "-i", "sine=frequency=300:duration=1:sample_rate=16000", tone)
        base = read_file(code, tone)
        files = {what: read_file(code, path) for what, path in hostile_files(folder)}
        foreign = foreign_files(code, folder)
    clients = {what: bystander(code, attack, seconds) for what, attack in ATTACKS.items()}
    return {"base": base, "files": files, "foreign": foreign, "clients": clients}


def report(found: dict[str, Any]) -> str:
    """The tables."""
    before, after = found["before"], found["after"]

    def cell(row: dict[str, Any], base: dict[str, Any]) -> str:
        if row["outcome"] == "hang":
            return f"no end in {LIMIT:g} s"
        return f"{row['outcome']}, {row['seconds']:.1f} s, {row['mb'] - base['mb']:.0f} MB"

    def seen(row: dict[str, Any]) -> str:
        statuses = ", ".join(map(str, sorted(set(row["refused"]))))
        others = f", {len(row['refused'])} with {statuses}" if row["refused"] else ""
        return (
            f"{row['served']} of {row['tried']} served, longest {row['longest']:.1f} s{others};"
            f" ends in {row['end']:.1f} s"
        )

    files = [
        [what, cell(row, before["base"]), cell(after["files"][what], after["base"])]
        for what, row in before["files"].items()
    ]
    clients = [[what, seen(row), seen(after["clients"][what])] for what, row in before["clients"].items()]
    foreign = [
        f"{f['opened']} of {f['files']} opened, {f['heard']} read"
        for f in (before["foreign"], after["foreign"])
    ]
    head = ["attack", f"before ({found['before_commit']})", f"after ({found['commit']})"]
    return "\n".join(
        [
            "# Hostile files and clients",
            "",
            f"`python -m benchmarks.cost.attacks --before CHECKOUT`, {found['machine']}.",
            "",
            "One file in a process of its own: how it ended, seconds, peak memory over the base of the process.",
            "",
            table(head, files),
            "",
            "Playlists of 11 kinds, clean and with bytes that are no text, and a MOV with its samples elsewhere;"
            " each names a foreign recording on the machine:",
            "",
            table(head, [["foreign recordings", *foreign]]),
            "",
            f"A bystander uploads 2 s of speech once a second for {found['seconds']:g} s; at the end the server"
            " gets SIGTERM.",
            "",
            table(head, clients),
        ]
    )


def main() -> None:
    """Measure both checkouts and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, help="a checkout of an earlier commit")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each attack on a server")
    given = parser.parse_args()
    git = ["git", "-C", str(given.before), "rev-parse", "--short", "HEAD"]
    found = {
        "machine": machine(),
        "seconds": given.seconds,
        "commit": commit(),
        "before_commit": subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip(),
        "before": measure(given.before.resolve(), given.seconds),
        "after": measure(ROOT, given.seconds),
    }
    save("attacks", report(found), found)
    print(report(found))


if __name__ == "__main__":
    main()

"""What `sed-run` and `sed-score` say to broken input: every case is right, or gets exactly one clear sentence.

    python benchmarks/broken_input.py

Each case is a process of its own. Checked are its exit status, its message (one line at most, never a traceback),
what came out, and that nothing half-written is left. Writes results/broken_input.md and .json; ends with 1 where
a case is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from broken_annotations import annotations
from broken_recordings import Case, recordings
from report import commit, machine, save, table

ROOT = Path(__file__).resolve().parent.parent


def run(command: str, case: Case, folder: Path) -> dict[str, Any]:
    """Run `case` in an empty working folder; what it did, and in `wrong` what is not as expected."""
    work = Path(tempfile.mkdtemp(dir=folder))
    result = work / "result.json"
    options = ["-o", str(result)] if command == "run" and "-o" not in case.arguments else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    told = subprocess.run(
        [*_privileges(case), sys.executable, "-m", f"sed.cli.{command}", *case.arguments, *options],
        input=case.piped if case.piped is not None else b"",
        capture_output=True,
        check=False,
        cwd=work,
        env=environment,
        timeout=120,
    )
    message = told.stderr.decode(errors="replace").strip()
    message = message.replace(str(folder) + "/", "")
    wrong = []
    if told.returncode != case.status:
        wrong.append(f"status {told.returncode}, expected {case.status}")
    if message.count("\n") >= (4 if case.status == 2 and message.startswith("Usage") else case.lines):
        wrong.append("more than one line")
    if (bool(message) != bool(case.says)) or case.says not in message:
        wrong.append(f"expected to read {case.says!r}")
    if "Traceback" in message:
        wrong.append("a traceback")
    left = sorted(p.name for p in work.iterdir())
    row = {"command": command, "case": case.name, "status": told.returncode, "message": message, "result": ""}
    if command == "run" and case.found is not None:
        _check_result(row, result, case, wrong)
        left = [name for name in left if name != result.name]
    if command == "score" and case.status == 0 and not told.stdout:
        wrong.append("no report")
    row["seconds"] = round(time.monotonic() - began, 1)
    if left:
        wrong.append(f"left behind: {', '.join(left)}")
    return {**row, "wrong": wrong}


def _privileges(case: Case) -> list[str]:
    """What goes before a command that is to be refused as others are: root may read and write everything."""
    if case.unprivileged and os.geteuid() == 0:
        fewer = "-dac_override,-dac_read_search"
        return ["setpriv", "--bounding-set", fewer, "--inh-caps", fewer]
    return []


def _check_result(row: dict[str, Any], path: Path, case: Case, wrong: list[str]) -> None:
    if not path.is_file():
        wrong.append("no result")
        return
    found = json.loads(path.read_text())
    lasts, count = found["duration"], len(found["segments"])
    row["result"] = f"{lasts:.4g} s, {count} segment{'s' if count != 1 else ''}"
    # What breaks off inside a page or frame of a codec keeps what was complete.
    assert case.found is not None
    tolerance = 0.12 * case.found if "60 %" in case.name else max(0.1, 0.01 * case.found)
    if abs(lasts - case.found) > (tolerance if case.found > 0.1 else 1e-9):
        wrong.append(f"lasts {lasts} s, expected about {case.found:.4g} s")
    if case.speech != (count > 0) and not (case.found > 0.1 and not case.speech and "quiet" in case.name):
        wrong.append("expected segments" if case.speech else "expected no segment")


def main() -> int:
    """Run all, write, print; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", choices=["run", "score"], help="only this one; nothing is written")
    parser.add_argument("--only", help="cases whose name contains this; nothing is written")
    options = parser.parse_args()
    only = options.only if options.command is None else options.only or ""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command, cases in (("run", recordings(folder)), ("score", annotations(folder))):
            for case in cases if options.command in (None, command) else ():
                if only is None or only in case.name:
                    rows.append(row := run(command, case, folder))
                    print(row["case"], "->", row["status"], row["message"], row["result"], *row["wrong"][:9])
    bad = [row for row in rows if row["wrong"]]
    for row in bad:
        print("WRONG:", row["case"], "|", "; ".join(row["wrong"]), "|", row["message"], file=sys.stderr)
    if only is None:
        save("broken_input", _text(rows, bad), {"rows": rows})
    return int(bool(bad))


def _text(rows: list[dict[str, Any]], bad: list[dict[str, Any]]) -> str:
    parts = [
        "# Broken input",
        "",
        f"`python benchmarks/broken_input.py`, commit {commit()}, {machine()}.",
        "",
        f"{len(rows)} cases, {len(rows) - len(bad)} as they should be. Each is a process of its own; its status, its",
        "message (one line at most), what it made of the input, and that nothing half-written is left are checked.",
    ]
    for command in ("run", "score"):
        own = [row for row in rows if row["command"] == command]
        lines = [[r["case"], r["status"], _cell(r["message"]), r["result"]] for r in own]
        head = ["input", "exit", "message", "result"]
        parts += [
            "",
            f"## sed-{command}",
            "",
            table(head, lines if command == "run" else [r[:3] for r in lines]),
        ]
        if command == "score":
            parts[-1] = table(head[:3], [r[:3] for r in lines])
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " / ")


if __name__ == "__main__":
    sys.exit(main())

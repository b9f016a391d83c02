"""Damaged, unusual and foreign input: every case gives the correct result or exactly one clear sentence.

Each case is a separate process of `sed-run` or `sed-score`. The tests check its exit status, its message (at most one
line, never a traceback), its result, and that no partial output is left. The cases are in `tests/support`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from broken_annotations import annotations
from broken_recordings import Case, recordings

ROOT = Path(__file__).resolve().parents[2]
NOTICES = ("no duration is stated", "labels in the references only", "labels in the hypotheses only")
CASES = {"run": recordings, "score": annotations}


def problems_of(command: str, case: Case, folder: Path) -> tuple[list[str], str]:
    """Run `case` in an empty working folder; returns deviations from the expectation, and the message."""
    work = Path(tempfile.mkdtemp(dir=folder))
    result = work / "result.json"
    options = ["-o", str(result)] if command == "run" and "-o" not in case.arguments else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*_privileges(case), sys.executable, "-m", f"sed.cli.{command}", *case.arguments, *options],
        input=case.piped if case.piped is not None else b"",
        capture_output=True,
        check=False,
        cwd=work,
        env=environment,
        timeout=120,
    )
    message = done.stderr.decode(errors="replace").strip()
    message = message.replace(str(folder) + "/", "")
    # What every score states about its region and labels is no complaint about the input.
    message = "\n".join(line for line in message.splitlines() if not any(text in line for text in NOTICES))
    wrong = []
    if done.returncode != case.status:
        wrong.append(f"status {done.returncode}, expected {case.status}")
    if message.count("\n") >= (4 if case.status == 2 and message.startswith("Usage") else case.lines):
        wrong.append("more than one line")
    if (bool(message) != bool(case.message)) or case.message not in message:
        wrong.append(f"expected a message with {case.message!r}")
    if "Traceback" in message:
        wrong.append("a traceback")
    left = sorted(p.name for p in work.iterdir())
    if command == "run" and case.duration is not None:
        _check_result(result, case, wrong)
        left = [name for name in left if name != result.name]
    if command == "score" and case.status == 0 and not done.stdout:
        wrong.append("no report")
    if left:
        wrong.append(f"left behind: {', '.join(left)}")
    return wrong, message


def _privileges(case: Case) -> list[str]:
    """A prefix for commands that must run without the privileges of root, which may read and write every file."""
    if case.unprivileged and os.geteuid() == 0:
        fewer = "-dac_override,-dac_read_search"
        return ["setpriv", "--bounding-set", fewer, "--inh-caps", fewer]
    return []


def _check_result(path: Path, case: Case, wrong: list[str]) -> None:
    if not path.is_file():
        wrong.append("no result")
        return
    found = json.loads(path.read_text())
    duration, count = found["duration"], len(found["segments"])
    # A file truncated inside a page or frame of a codec keeps the complete ones.
    assert case.duration is not None
    tolerance = 0.12 * case.duration if "60 %" in case.name else max(0.1, 0.01 * case.duration)
    if abs(duration - case.duration) > (tolerance if case.duration > 0.1 else 1e-9):
        wrong.append(f"a duration of {duration} s, expected about {case.duration:.4g} s")
    if case.speech != (count > 0) and not (case.duration > 0.1 and not case.speech and "quiet" in case.name):
        wrong.append("expected segments" if case.speech else "expected no segment")


@pytest.mark.slow
@pytest.mark.parametrize("command", CASES)
def test_every_case_gives_the_correct_result_or_one_sentence(
    command: str, tmp_path: Path, need_program, subtests
) -> None:
    need_program("ffmpeg")
    for case in CASES[command](tmp_path):
        with subtests.test(case.name):
            problems, message = problems_of(command, case, tmp_path)
            assert not problems, message

"""A short run of the fuzzer with a fixed seed, and checks that the fuzzer detects each kind of fault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "robustness" / "fuzz.py"


def run(folder, *arguments):
    command = [sys.executable, str(FUZZ), "--output", str(folder / "fuzz.json"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return done, json.loads((folder / "fuzz.json").read_text())


@pytest.mark.slow
def test_no_crash_no_hang_no_foreign_file(tmp_path, need_program):
    need_program("ffmpeg")
    done, result = run(tmp_path, "--cases", "400", "--seed", "1")
    assert done.returncode == 0, done.stdout
    # Every seed file was tried without a mutation, and then mutations.
    assert result["cases"] == 400 and 250 > result["seed_files"] > 80
    assert result["outcomes"]["ok"] > 20 and result["outcomes"]["refused"] > 60


OPEN = r"__import__('re').search(r'/\S*foreign.wav', open(path, errors='replace').read())"
BAD = {
    "foreign": f"open({OPEN}.group())",
    "crash": "raise RuntimeError('not a SedError')",
    "hang": "__import__('time').sleep(60)",
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", BAD)
def test_the_fuzzer_detects_each_kind_of_fault(tmp_path, need_program, fault):
    need_program("ffmpeg")
    package = tmp_path / "code" / "sed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "errors.py").write_text("class SedError(Exception): pass\n")
    (package / "formats.py").write_text(f"def read_all(path):\n    {BAD[fault]}\n    return []\n")
    (package / "audio.py").write_text(f"def open_audio(path):\n    {BAD[fault]}\n    raise SystemExit\n")
    done, result = run(tmp_path, "--only", "20", "--code", str(tmp_path / "code"), "--limit", "3")
    assert done.returncode == 1
    (finding,) = result["findings"]
    assert finding["foreign"] if fault == "foreign" else finding["outcome"] == fault

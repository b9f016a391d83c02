"""Every command without the extra that it needs: one line that says what to install."""

import subprocess
import sys

import pytest

COMMANDS = [
    (
        "train",
        ["x.yaml"],
        ["speechbrain"],
        "sed-train: needs speechbrain: pip install 'speech-emotion-diarization[train]'",
    ),
    (
        "export",
        ["x", "y.onnx"],
        ["torch"],
        "sed-export: needs torch: pip install 'speech-emotion-diarization[wavlm,export]'",
    ),
    ("live", ["--list-devices"], ["sounddevice"], "a microphone needs the package sounddevice"),
    ("serve", ["--port", "0"], ["uvicorn"], "the server needs uvicorn"),
    (
        "run",
        ["{a}", "--diarizer", "pyannote"],
        ["pyannote.audio"],
        "pip install 'speech-emotion-diarization[pyannote]'",
    ),
    ("run", ["{a}", "--vad", "silero"], ["silero_vad"], "pip install 'speech-emotion-diarization[silero]'"),
    (
        "report",
        ["{d}"],
        ["duckdb"],
        "a report needs duckdb: pip install 'speech-emotion-diarization[report]'",
    ),
    (
        "score",
        ["{r}", "{r}", "--plot", "x.png"],
        ["matplotlib"],
        "pip install 'speech-emotion-diarization[score]'",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("command, arguments, absent, text", COMMANDS)
def test_a_missing_extra_is_one_line(data, tmp_path, command, arguments, absent, text):
    places = {"a": data / "emodb_15_sad_1.flac", "r": data / "ami_trn00.rttm", "d": tmp_path}
    (stored := tmp_path / "call.json").write_text("{}")
    given = [argument.format(**places) for argument in arguments]
    code = f"""
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == a or name.startswith(a + ".") for a in {absent!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {absent!r} else find(name, *rest)
sys.argv = ["sed-{command}", *{given!r}]
from sed.cli.{command} import main
main()
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert told.returncode in (1, 2), told.stderr
    assert text in told.stderr and told.stderr.count("\n") == 1 and told.stdout == "", told.stderr
    assert list(tmp_path.iterdir()) == [stored]

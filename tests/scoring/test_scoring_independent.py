"""`sed-score --metric der` against independent programs: NIST's md-eval and spyder.

The references are real conversations (AMI); the hypotheses are those references with turns dropped, moved and
assigned to other speakers, so that every kind of error occurs. Install md-eval with ``apt install sctk``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sed import formats
from sed.cli.score import main
from sed.result import Diarization, Segment
from sed.scoring import der

MD_EVAL = Path("/usr/lib/sctk/bin/md-eval.pl")  # on Debian


def damaged(reference, rng):
    """`reference` with random errors."""
    names = [s.speaker for s in reference]
    result = []
    for s in reference:
        start, end = max(0.0, s.start + rng.normal(0, 0.3)), s.end + rng.normal(0, 0.3)
        speaker = s.speaker if rng.random() < 0.85 else rng.choice(names)
        if rng.random() > 0.1 and end > start + 0.05:
            result.append(Segment(round(start, 3), round(end, 3), f"h{speaker}"))
    return Diarization(reference.uri, reference.duration, result)


@pytest.fixture(scope="module")
def conversations(shared, tmp_path_factory):
    """A folder with ref.rttm, hyp.rttm and scored.uem of the fourteen AMI clips."""
    folder = tmp_path_factory.mktemp("ami")
    rng = np.random.default_rng(0)
    texts = {"ref.rttm": "", "hyp.rttm": "", "scored.uem": ""}
    for path in sorted((shared / "conversations").glob("*.rttm")):
        for reference in formats.read_all(path):
            hypothesis = damaged(reference, rng)
            if not len(hypothesis):
                hypothesis = reference  # RTTM cannot list a recording without speech
            for name, item in (("ref.rttm", reference), ("hyp.rttm", hypothesis)):
                lines = (
                    f"SPEAKER {s_uri} 1 {s.start:.3f} {s.end - s.start:.3f} <NA> <NA> {s.speaker} <NA> <NA>\n"
                    for s_uri, s in ((item.uri, s) for s in item)
                )
                texts[name] += "".join(lines)
            texts["scored.uem"] += f"{reference.uri} 1 0.000 30.000\n"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("collar", [0, 0.25])
def test_agrees_with_md_eval(conversations, collar):
    """Per recording and overall, to the 0.01 % that md-eval prints."""
    program = shutil.which("md-eval.pl") or (str(MD_EVAL) if MD_EVAL.is_file() else None)
    if program is None or shutil.which("perl") is None:
        pytest.skip("md-eval.pl is not installed (apt install sctk)")
    paths = {name: str(conversations / name) for name in ("ref.rttm", "hyp.rttm", "scored.uem")}
    options = ["-af", "-c", str(collar), "-r", paths["ref.rttm"], "-s", paths["hyp.rttm"]]
    command = ["perl", program, *options, "-u", paths["scored.uem"]]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = dict(
        (name.removeprefix("f="), float(rate))
        for rate, name in re.findall(r"DIARIZATION ERROR = ([\d.]+) percent.*?\((.*?)\)", text)
    )
    arguments = [paths["ref.rttm"], paths["hyp.rttm"], "--uem", paths["scored.uem"]]
    arguments += ["--metric", "der", "--collar", str(collar), "--per-file", "--output", "json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    metric = json.loads(result.stdout)["metrics"]["der"]
    ours = {uri: 100 * part["rate"] for uri, part in metric["files"].items()} | {"ALL": 100 * metric["value"]}
    assert len(ours) == 15
    assert theirs.keys() == ours.keys()
    assert ours["ALL"] > 5
    assert max(abs(ours[name] - theirs[name]) for name in ours) <= 0.0051


def test_agrees_with_spyder(conversations):
    """Without a collar, for which conventions differ."""
    spyder = pytest.importorskip("spyder", reason="spy-der is not installed")
    sides = [
        {
            item.uri: [(s.speaker, s.start, s.end) for s in item]
            for item in formats.read_all(conversations / name)
        }
        for name in ("ref.rttm", "hyp.rttm")
    ]
    for uri, reference in sides[0].items():
        theirs = spyder.DER(reference, sides[1][uri], uem=[(0.0, 30.0)])
        turns = [[Segment(start, end, who) for who, start, end in side[uri]] for side in sides]
        ours = der(*turns, uem=[(0.0, 30.0)])
        assert ours.rate == pytest.approx(theirs.der, abs=1e-5)  # it computes in single precision
        assert ours.missed_detection / ours.total == pytest.approx(theirs.miss, abs=1e-5)
        assert ours.false_alarm / ours.total == pytest.approx(theirs.falarm, abs=1e-5)
        assert ours.confusion / ours.total == pytest.approx(theirs.conf, abs=1e-5)

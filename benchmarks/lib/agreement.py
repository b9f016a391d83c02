"""Agreement of scoring with pyannote.metrics, SpeechBrain's EDER and, if installed, NIST's md-eval.

In: numbers of seeded random cases, and the AMI clips of the shared corpora. Out: differences, counts and rates, for
`scoring.py`.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from sed.formats import read_all
from sed.result import Diarization, Segment
from sed.scoring import der, eder
from sed.scoring.intervals import gaps, support
from sed.scoring.speechbrain import frame_segments

LABELS = ("neutral", "happy", "angry", "sad")
MD_EVAL = Path("/usr/lib/sctk/bin/md-eval.pl")


def random_side(rng: np.random.Generator, duration: float) -> list[Segment]:
    """Emotions that overlap and leave gaps."""
    bounds = np.sort(rng.uniform(0, duration, (rng.integers(0, 10), 2)), 1)
    return [Segment(float(a), float(b), None, LABELS[rng.integers(4)]) for a, b in bounds]


def largest_difference_to_pyannote(cases: int) -> float:
    """Largest difference of EDER to IdentificationErrorRate with neutral filled in."""
    from pyannote.core import Annotation, Timeline
    from pyannote.core import Segment as Interval
    from pyannote.metrics.identification import IdentificationErrorRate

    def annotation(rows: list[Segment], duration: float) -> Annotation:
        tracks = {name: support([(s.start, s.end) for s in rows if s.emotion == name]) for name in LABELS}
        free = gaps(support(np.concatenate(list(tracks.values()))), 0.0, duration)
        tracks["neutral"] = support(np.concatenate([tracks["neutral"], free]))
        result = Annotation()
        for label, track in tracks.items():
            for start, end in track:
                result[Interval(start, end), label] = label
        return result

    rng, largest = np.random.default_rng(0), 0.0
    for _ in range(cases):
        duration = float(rng.uniform(1, 30))
        sides = [random_side(rng, duration) for _ in range(2)]
        theirs = IdentificationErrorRate()(
            *(annotation(side, duration) for side in sides), uem=Timeline([Interval(0, duration)])
        )
        largest = max(largest, abs(eder(*sides, duration=duration).rate - theirs))
    return largest


def disagreements_with_speechbrain(cases: int) -> int:
    """How often the compatible EDER differs from the float that SpeechBrain's function returns."""
    package = importlib.util.find_spec("speechbrain")
    assert package is not None and package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "utils" / "EDER.py"
    spec = importlib.util.spec_from_file_location("speechbrain_eder_file", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(cases):
        duration, stride = float(rng.uniform(0.3, 15)), float(rng.choice([0.02, 0.2, rng.uniform(0.01, 0.5)]))
        window = stride * float(rng.choice([1.0, 1.5, rng.uniform(0.5, 3)]))
        count = int(rng.integers(1, 2 + int(1.1 * duration / stride)))
        letters = np.repeat(rng.choice(list("nhas"), count), rng.integers(1, 9, count))[:count].tolist()
        start, end = np.sort(rng.uniform(0, duration, 2)).tolist()
        event = {"emo": str(rng.choice(LABELS[1:])), "start": start, "end": end}
        theirs = module.EDER(list(letters), "u", duration, [event], window, stride)
        reference = [Segment(start, end, None, event["emo"])]
        frames = frame_segments(letters, window, stride)
        ours = eder(reference, frames, duration=duration, labels={"n": "neutral"}, compat="speechbrain")
        wrong += ours.rate != theirs
    return wrong


def damaged(reference: Diarization, rng: np.random.Generator) -> list[Segment]:
    """The turns of `reference`, moved, dropped and assigned to other speakers."""
    names = [s.speaker for s in reference]
    moved = [
        Segment(
            max(0.0, s.start + 0.3 * float(rng.uniform(-1, 1))),
            s.end + 0.3 * float(rng.uniform(0, 1)),
            f"h{s.speaker if rng.random() < 0.85 else rng.choice(names)}",
        )
        for s in reference
    ]
    return [s for number, s in enumerate(moved) if number == 0 or rng.random() > 0.1]


def meetings(shared: Path, collar: float) -> dict[str, float]:
    """DER in per cent of damaged references of the AMI clips: ours, pyannote's, md-eval's."""
    rng = np.random.default_rng(2)
    pairs = []
    for path in sorted((shared / "conversations").glob("*.rttm")):
        for item in read_all(path):
            rows = [Segment(round(s.start, 3), round(s.end, 3), s.speaker) for s in damaged(item, rng)]
            pairs.append((item, Diarization(item.uri, 30.0, rows)))
    found = {}
    for name, engine in (("sed", "sed"), ("pyannote.metrics", "pyannote")):
        rates = [der(*pair, uem=[(0.0, 30.0)], collar=collar, engine=engine) for pair in pairs]  # type: ignore[arg-type]
        found[name] = 100 * sum(rates[1:], rates[0]).rate
    if MD_EVAL.is_file():
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("ref.rttm", "hyp.rttm", "all.uem")]
            for side, file in enumerate(files[:2]):
                file.write_text("".join(map(rttm, (pair[side] for pair in pairs))), encoding="utf-8")
            files[2].write_text("".join(f"{reference.uri} 1 0 30\n" for reference, _ in pairs))
            options = [
                text
                for flag, file in zip(("-r", "-s", "-u"), files, strict=True)
                for text in (flag, str(file))
            ]
            command = ["perl", str(MD_EVAL), "-c", str(collar), *options]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found["md-eval"] = float(re.findall(r"DIARIZATION ERROR = ([\d.]+) percent.*\(ALL\)", text)[0])
    return found


def rttm(item: Diarization) -> str:
    """Plain RTTM lines of `item`."""
    return "".join(
        f"SPEAKER {item.uri} 1 {s.start:.3f} {s.end - s.start:.3f} {s.emotion or '<NA>'} <NA> {s.speaker} <NA> <NA>\n"
        for s in item
    )

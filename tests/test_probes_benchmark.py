"""The benchmark of frozen features, in small: it finds what is there, and nothing where nothing is."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def probes(monkeypatch):
    """The module benchmarks/probes.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("probes", "emotion_features", "emotion_systems", "report"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import probes

    return probes


@pytest.fixture
def material(probes):
    """Two corpora of four speakers each; layer 0 tells the emotions apart, layer 1 only who speaks."""
    rng = np.random.default_rng(0)
    rows = [(c, f"{c}{s}", e) for c in "ab" for s in range(4) for e in range(4) for _ in range(6)]
    corpora, speakers, true = (np.array(column) for column in zip(*rows, strict=True))
    features = rng.standard_normal((2, len(rows), 2, 8)).astype(np.float32)
    features[:, np.arange(len(rows)), 0, true] += 6
    who = np.unique(speakers, return_inverse=True)[1]
    features[:, np.arange(len(rows)), 1, who] += 6
    return probes.Material({"tones": features}, corpora, speakers, true)


def recalls(probes, material, labels):
    """Of each corpus."""
    return probes.recalls(material.true, labels, material.corpora, len(probes.LABELS)).values()


def test_no_speaker_is_in_two_folds_and_every_fold_has_both_corpora(probes, material):
    dealt = probes.folds(material, 1)
    for speaker in np.unique(material.speakers):
        assert len(set(dealt[material.speakers == speaker])) == 1
    for fold in range(probes.FOLDS):
        assert set(material.corpora[dealt == fold]) == {"a", "b"}
    assert not np.array_equal(dealt, probes.folds(material, 3))


@pytest.mark.parametrize("kind", ["Network", "Linear"])
def test_emotions_are_found_where_the_features_know_them(probes, material, kind):
    for groups in (probes.folds(material, 1), material.corpora):
        knows = getattr(probes, kind)((("tones", 0),))
        assert min(recalls(probes, material, probes.told(knows, material, groups, 1))) > 0.9
        deaf = getattr(probes, kind)((("tones", 1),))
        assert max(recalls(probes, material, probes.told(deaf, material, groups, 1))) < 0.5, (
            "leaks the answer"
        )

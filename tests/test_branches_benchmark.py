"""The benchmark of branches, in small: other shares of a tagger say what that tagger would say with them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_taggers import TWO_BRANCHES as TINY

from sed.errors import OptionError
from sed.training.corpora import Utterance
from sed.training.folder import save_tagger
from sed.training.model import CompactTagger
from sed.training.patterns import Event

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
LABELS = ["neutral", "happy"]


@pytest.fixture
def branches(monkeypatch):
    """The module benchmarks/branches.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("branches", "effects", "report"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import branches

    return branches


@pytest.fixture
def speech():
    rng = np.random.default_rng(0)
    return [
        (
            Utterance(corpus, f"{n}.wav", "s", label, "valid"),
            (rng.standard_normal(9000) * 3000).astype(np.int16),
        )
        for corpus in "ab"
        for n, label in enumerate(LABELS)
    ]


def test_other_shares_are_those_of_a_tagger_that_has_them(branches):
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **TINY, fusion=1).eval()
    other = CompactTagger(LABELS, **TINY, fusion=1, shares=[1, 0, 3]).eval()
    other.load_state_dict(tagger.state_dict())
    shared, wave = branches.Shared(tagger).eval(), torch.randn(1, 9000)
    assert torch.allclose(shared(wave), tagger(wave), atol=0.01)
    shared.shares = [1, 0, 3]
    assert torch.allclose(shared(wave), other(wave), atol=0.01)
    assert not torch.allclose(tagger(wave), other(wave), atol=0.01)


def test_a_row_for_every_share(branches, speech, tmp_path):
    torch.manual_seed(0)
    save_tagger(CompactTagger(LABELS, **TINY, fusion=1).eval(), tmp_path / "run" / "tagger", LABELS, {})
    wave = speech[0][1].astype(np.float32) / 32768
    clips = [(wave, [Event(0, 9000, "happy")])]
    for heard in ([], speech):
        rows = branches.rows(tmp_path / "run", LABELS, speech, heard, clips)
        assert [row[1] for row in rows] == [", ".join(map(str, shares)) for shares in branches.SHARES]
        for row in rows:
            assert row[0] == "run" and len(row) == 2 + 2 + 5
            assert all(0 <= float(value) <= 100 for value in row[2:])
            assert float(row[4]) == pytest.approx((float(row[2]) + float(row[3])) / 2, abs=0.11)
    save_tagger(CompactTagger(LABELS, **TINY).eval(), tmp_path / "two", LABELS, {})
    with pytest.raises(OptionError, match="found 2 branches, expected 3"):
        branches.rows(tmp_path / "two", LABELS, speech, [], clips)

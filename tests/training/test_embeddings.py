"""Embeddings of utterances: statistics by hand, factors of constructed data, and both from the speech of manifests."""

import itertools
import json

import numpy as np
import pytest
import scipy.stats
import torch
from tiny_encoders import transformers_model
from tones import LABELS, make_corpora, run, tone

from sed.corpora.audio import Utterance
from sed.errors import ModelError, OptionError
from sed.networks.logmel import LogMelTagger
from sed.networks.store import save_tagger
from sed.training.data.frame_states import tagger_states
from sed.training.embeddings.factors import FactorModel, FactorOptions, fit_background, fit_factors
from sed.training.embeddings.pooling import STATISTICS, check_statistics, pooled
from sed.training.embeddings.run import open_embedder, probe_scores


def test_statistics_are_those_of_scipy():
    states = np.random.default_rng(0).gamma(2.0, size=(200, 3))
    reference = [states.mean(0), states.std(0), scipy.stats.skew(states), scipy.stats.kurtosis(states)]
    assert pooled(states, STATISTICS) == pytest.approx(np.concatenate(reference), rel=1e-5)
    assert pooled(states, ["kurtosis"]) == pytest.approx(reference[3], rel=1e-5)
    assert np.isfinite(pooled(np.ones((1, 3)), STATISTICS)).all()
    with pytest.raises(OptionError, match="statistics: found median, expected some of mean"):
        check_statistics(["median"])


TRUE = np.random.default_rng(1).standard_normal((3, 4, 2))  # three Gaussians of four dimensions, two factors


def simulated(utterances, frames, seed):
    """Frames of utterances from the model itself: Gaussians far apart, their means moved by the factors."""
    rng = np.random.default_rng(seed)
    means = 20.0 * np.eye(3, 4)
    factors = rng.standard_normal((utterances, 2))
    found = []
    for w in factors:
        kind = rng.integers(3, size=frames)
        found.append((means + TRUE @ w)[kind] + rng.standard_normal((frames, 4)))
    return found, factors


def explained(found, true):
    """The share of the variance of `true` that a linear map of `found` explains."""
    x = np.column_stack([found, np.ones(len(found))])
    rest = true - x @ np.linalg.lstsq(x, true, rcond=None)[0]
    return 1 - rest.var() / true.var()


@pytest.fixture(scope="module")
def factor_model():
    speech, _ = simulated(300, 60, 2)
    options = FactorOptions(factors=2, components=3, width=4)
    model = fit_background(np.concatenate(speech), options, 0)
    found = [model.statistics(states) for states in speech]
    counts, sums = (np.stack(part) for part in zip(*found, strict=True))
    matrix, history = fit_factors(counts, sums, 2, 15, 0)
    return FactorModel(**{**vars(model), "matrix": matrix}), history


def test_the_factors_of_new_utterances_are_recovered(factor_model):
    model, history = factor_model
    assert all(later > before - 1e-6 for before, later in itertools.pairwise(history))
    assert history[-1] > history[0] + 1
    for frames, least in ((300, 0.98), (60, 0.9)):
        speech, true = simulated(200, frames, 5)
        assert explained(np.stack([model.embed(states) for states in speech]), true) > least
    scale = np.stack([model.embed(states) for states in speech])
    assert scale.std(0) == pytest.approx([1, 1], abs=0.2)  # as the factors themselves


def test_a_short_utterance_stays_close_to_the_mean(factor_model):
    model, _ = factor_model
    speech, _ = simulated(50, 300, 6)
    sizes = [np.mean([np.linalg.norm(model.embed(states[:n])) for states in speech]) for n in (1, 5, 300)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_frames_are_shared_by_the_gaussians_as_in_scikit_learn():
    from sklearn.mixture import GaussianMixture

    states = np.random.default_rng(3).standard_normal((400, 3)) * [3, 2, 1] + 5
    model = fit_background(states, FactorOptions(factors=1, components=2, width=3), 0)
    x = (states - model.centre) @ model.projection
    assert np.cov(x.T) == pytest.approx(np.eye(3), abs=1e-6)
    mixture = GaussianMixture(2, covariance_type="diag")
    mixture.weights_, mixture.means_ = model.weights, model.means
    mixture.precisions_cholesky_ = 1 / model.deviations
    shares = mixture.predict_proba(x)
    counts, sums = model.statistics(states)
    assert counts == pytest.approx(shares.sum(0)) and counts.sum() == pytest.approx(400) and min(counts) > 1
    expected = [
        (share[:, None] * (x - m) / d).sum(0)
        for share, m, d in zip(shares.T, model.means, model.deviations, strict=True)
    ]
    assert sums == pytest.approx(np.array(expected))


def test_few_iterations_are_enough_for_factors_of_variance_1():
    """Minimum divergence: without it the factors start from the scale of the initial matrix."""
    speech, _ = simulated(300, 60, 2)
    model = fit_background(np.concatenate(speech), FactorOptions(factors=2, components=3, width=4), 0)
    found = [model.statistics(states) for states in speech]
    counts, sums = (np.stack(part) for part in zip(*found, strict=True))
    matrix, _ = fit_factors(counts, sums, 2, 1, 0)
    model = FactorModel(**{**vars(model), "matrix": matrix})
    assert np.stack([model.embed(states) for states in speech]).std(0) == pytest.approx([1, 1], abs=0.2)


def test_a_factor_model_is_stored(factor_model, tmp_path):
    model, _ = factor_model
    model.save(tmp_path / "f.npz")
    states = simulated(1, 50, 7)[0][0]
    assert np.array_equal(FactorModel.load(tmp_path / "f.npz").embed(states), model.embed(states))
    with pytest.raises(ModelError, match="found no factor model in"):
        FactorModel.load(tmp_path / "other.npz")


def test_a_probe_learns_from_known_utterances_only():
    labels = ["neutral", "happy"]
    rng = np.random.default_rng(0)

    def rows(corpus, flip):
        emotions = ["neutral", "happy"] * 50
        own = [Utterance(corpus, None, f"{corpus}/s", emotion, "train") for emotion in emotions]
        sign = np.array([1.0 if (emotion == "happy") != flip else -1.0 for emotion in emotions])
        return own, sign[:, None] + 0.3 * rng.standard_normal((100, 2))

    parts = [rows("one", False), rows("two", False), rows("three", True)]
    utterances = [u for own, _ in parts for u in own]
    vectors = np.concatenate([x for _, x in parts])
    known = [u.corpus == "one" for u in utterances]
    scores = probe_scores(vectors, utterances, known, labels, 1.0, 0)
    assert set(scores) == {"two", "three"} and scores["two"] > 0.95 and scores["three"] < 0.05
    with pytest.raises(OptionError, match="labels: found no training utterance of sad"):
        probe_scores(vectors, utterances, known, [*labels, "sad"], 1.0, 0)


SMALL = {"factors": "{factors: 4, components: 2, width: 4, frames: 500}", "probe_strength": 1.0}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("embedding-corpora"), ("one", "two"))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("embedding-tagger")
    save_tagger(LogMelTagger(LABELS, head_width=16, dilations=[1]), folder, LABELS, {})
    return folder


@pytest.mark.slow
def test_the_recipe_embeds_every_utterance(corpora, tagger, tmp_path):
    options = {"corpora": corpora, "tagger": tagger, "leave_out": "[two]", **SMALL}
    path = run("embeddings", tmp_path, **options, statistics="[mean, deviation, kurtosis]")
    with np.load(path) as found:
        assert found["statistics"].shape == (16, 48) and found["factors"].shape == (16, 4)
        assert sorted(set(found["split"])) == ["train", "valid"] and len(set(found["id"])) == 16
        states = tagger_states(tagger)
        embedder = open_embedder(tmp_path, states)
        wave = tone(900, seed=1)
        nearest = np.square(found["factors"] - embedder(wave)).sum(1).argmin()
        assert found["emotion"][nearest] == "happy"
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores) == {"statistics", "factors"} and set(scores["factors"]) == {"one", "two"}
    assert scores["statistics"]["two"] == 1.0  # tones of four pitches


@pytest.mark.slow
def test_the_recipe_takes_an_encoder_and_single_kinds(corpora, tmp_path):
    torch.manual_seed(0)
    transformers_model("hubert").save_pretrained(tmp_path / "encoder")
    options = {"corpora": corpora, "tagger": "null", "encoder": tmp_path / "encoder", "layer": 1}
    path = run("embeddings", tmp_path / "out", **options, factors="{factors: 0}", utterances=1)
    with np.load(path) as found:
        assert found["statistics"].shape == (16, 64) and "factors" not in found
    assert not (tmp_path / "out" / "factors.npz").exists()
    path = run("embeddings", tmp_path / "b", **options, **SMALL, statistics="[]")
    with np.load(path) as found:
        assert "statistics" not in found and found["factors"].shape == (16, 4)
    with pytest.raises(OptionError, match="layer: found 7, expected 0 to 2"):
        run("embeddings", tmp_path / "c", **{**options, "layer": 7})
    with pytest.raises(OptionError, match="found tagger and encoder both or neither"):
        run("embeddings", tmp_path / "c", **{**options, "tagger": "bundled"})

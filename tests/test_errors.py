"""The fields of errors, also after pickling."""

import pickle

import pytest

from sed import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_fields_survive_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("a\nb.rttm: no space", path="a\nb.rttm", kind="rttm")))
    assert type(error) is kind and str(error) == "a b.rttm: no space"
    assert (error.path, error.kind, error.problem) == ("a\nb.rttm", "rttm", "no space")
    bare = pickle.loads(pickle.dumps(kind("no space")))
    assert (bare.path, bare.kind, bare.problem, str(bare)) == (None, None, "no space", "no space")

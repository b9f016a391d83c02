"""Hyperparameters from anywhere: read as data, and bounded whatever aliases and references would make of them."""

import time

import pytest

pytest.importorskip("yaml")
from sed.emotion.hyperyaml import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, read_hyperyaml
from sed.errors import ModelError


def levels(count, make, width=9):
    """Lines that each name the one before `width` times."""
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x]"
    return "\n".join([first, *(make(n, width) for n in range(1, count))])


def aliases(n, width):
    return f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]"


def references(n, width):
    return f"a{n}: [{', '.join([f'!ref <a{n - 1}>'] * width)}]"


def texts(n, width):
    return f'a{n}: !ref "{f"<a{n - 1}>" * width}"'


def merges(n, width):
    return f"a{n}: &a{n} {{k{n}: 1, <<: [{', '.join([f'*a{n - 1}'] * width)}]}}"


def chains(n, width):
    return f"a{n}: &a{n} [*a{n - 1}]"


MANY = f"found more than {MAX_VALUES} values with aliases and references resolved, expected hyperparameters$"
DEEP = f"found values nested deeper than {MAX_DEPTH} levels, expected hyperparameters$"


@pytest.mark.parametrize(
    "text, message",
    [
        (levels(9, aliases), MANY),
        (levels(9, references), MANY),
        (levels(9, texts), MANY),
        (levels(9, merges).replace("[x, x, x, x, x, x, x, x, x]", "{x: 1}"), MANY),
        (levels(8, aliases) + "\nb: [1, !ref <a7>, *a3]", MANY),
        (f"a: {'x' * 60_000}\nb: !ref {'<a>' * 10_000}", MANY),
        (levels(2_000, chains), DEEP),
        ("a: " + "[" * 50_000, DEEP),
        ("a: " + "{a: " * 10_000, DEEP),
        ("a: &a [*a]", DEEP),
        ("a: &a {b: *a}", DEEP),
        ("a: !ref <b>\nb: !ref <a>", "found circular references"),
        (
            "a" * (MAX_CHARACTERS + 1),
            f"found more than {MAX_CHARACTERS} characters, expected hyperparameters",
        ),
        ("a: !!int x", "is not YAML"),
        ("a: !!int ''", "is not YAML"),
        ("a: !!bool x", "is not YAML"),
        ("a: !!timestamp x", "is not YAML"),
        ("a: 1" + ":10" * 9_000 + ".5", "is not YAML"),
    ],
    ids=lambda value: None if value.startswith("found") else value[:24],
)
def test_what_a_small_file_may_become_is_bounded(text, message):
    begun = time.process_time()
    with pytest.raises(ModelError, match=f"^x:? {message}"):
        read_hyperyaml(text, "x")
    assert time.process_time() - begun < 2


def test_aliases_and_references_are_values():
    text = "a: &a [1, {b: 2}]\nc: *a\nd: !ref <a[1][b]>\ne: !ref <a>\nf: {<<: {g: 1}, h: !ref <d>/<d>}"
    found = read_hyperyaml(text, "x")
    assert found["c"] == found["e"] == [1, {"b": 2}] and found["d"] == 2
    assert found["f"] == {"g": 1, "h": "2/2"}


def test_a_file_as_long_and_deep_as_they_come_is_read():
    lines = "\n".join(f"key{n}: !new:torch.nn.Linear\n  size: !ref <key0>" for n in range(1, 1_000))
    found = read_hyperyaml(f"key0: 3\n{lines}\ndeep: {'[' * 15}{']' * 15}", "x")
    assert found["key999"] == {"!": "torch.nn.Linear", "size": 3}

"""Configurations of taggers small enough for tests."""

TWO_BRANCHES = {
    "layers": 1,
    "width": 16,
    "heads": 2,
    "feedforward": 32,
    "head_width": 8,
    "positions": 400,
    "voice": True,
}

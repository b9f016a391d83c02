"""Preparers: a corpus as published -> a manifest (`sed.corpora.manifest`), one small module a corpus.

>>> sorted(PREPARERS)[:4]
['cremad', 'csv', 'emodb', 'emovdb']
>>> PREPARERS["zed"].licence
'CC BY-NC 4.0'
"""

from __future__ import annotations

from sed.corpora.entries import Preparer
from sed.corpora.prepare import SPLIT_CHOICES, Options, Report, prepare
from sed.corpora.readers import (
    cremad,
    emodb,
    emovdb,
    esd,
    iemocap,
    jl,
    kaist,
    meld,
    nemo,
    ravdess,
    table,
    zed,
)
from sed.errors import OptionError

PREPARERS: dict[str, Preparer] = {
    module.PREPARER.name: module.PREPARER
    for module in (ravdess, emodb, nemo, kaist, esd, emovdb, jl, iemocap, meld, cremad, table, zed)
}

__all__ = ["PREPARERS", "SPLIT_CHOICES", "Options", "Preparer", "Report", "find_preparer", "prepare"]


def find_preparer(name: str) -> Preparer:
    """The preparer of that name; case, hyphens and blanks don't count. Raises `OptionError` for no such name.

    >>> find_preparer("EmoV-DB").name, find_preparer("JL-Corpus").name
    ('emovdb', 'jl')
    """
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    plain = {"jlcorpus": "jl", "audformat": "csv", "table": "csv"}.get(plain, plain)
    if plain not in PREPARERS:
        raise OptionError(f"corpus {name!r}: expected one of {', '.join(PREPARERS)}")
    return PREPARERS[plain]

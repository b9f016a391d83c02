"""Corpus readers, one module per corpus; `sed.corpora.prepare` turns what they read into a manifest.

>>> sorted(READERS)[:4]
['cremad', 'csv', 'emodb', 'emovdb']
>>> READERS["zed"].licence
'CC BY-NC 4.0'
"""

from __future__ import annotations

from sed.corpora.assignment import SPLIT_CHOICES, Options
from sed.corpora.entries import CorpusReader
from sed.corpora.prepare import Report, prepare
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

READERS: dict[str, CorpusReader] = {
    module.READER.name: module.READER
    for module in (ravdess, emodb, nemo, kaist, esd, emovdb, jl, iemocap, meld, cremad, table, zed)
}

__all__ = ["READERS", "SPLIT_CHOICES", "CorpusReader", "Options", "Report", "find_reader", "prepare"]


def find_reader(name: str) -> CorpusReader:
    """The reader of the corpus `name`; case, hyphens and blanks are ignored. Raises `OptionError` for an unknown name.

    >>> find_reader("EmoV-DB").name, find_reader("JL-Corpus").name
    ('emovdb', 'jl')
    """
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    plain = {"jlcorpus": "jl", "audformat": "csv", "table": "csv"}.get(plain, plain)
    if plain not in READERS:
        raise OptionError(f"corpus {name!r}: expected one of {', '.join(READERS)}")
    return READERS[plain]

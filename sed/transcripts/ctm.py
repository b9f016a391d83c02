"""CTM of NIST's scoring tools and of Kaldi: ``recording channel start duration word [confidence [type [speaker]]]``.

A line per word, times in seconds; lines that start with ``;;`` are comments. It has no sentences: words are grouped
where a pause of `PAUSE` seconds or another channel follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import number, split_fields
from sed.formats.lenience import short
from sed.transcripts.model import Sentence, Transcript, Word

PAUSE = 1.0
_FEWEST, _MOST = 5, 8


def is_ctm(text: str) -> bool:
    """Whether the first line that is no comment is one of a CTM."""
    for line in text.split("\n"):
        if line.strip() and not line.startswith(";;"):
            fields = line.split()
            return _FEWEST <= len(fields) <= _MOST and all(map(_is_number, fields[2:4]))
    return False


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def parse(text: str, path: Path) -> list[Transcript]:
    """The transcript of each recording. Raises `FormatError` with the line that is invalid.

    >>> (found,) = parse("call 1 0.50 0.1 yes 0.9\\ncall 1 0.6 0.3 sure\\n", Path("a.ctm"))
    >>> found.uri, [(s.start, s.end, s.text) for s in found.sentences]
    ('call', [(0.5, 0.9, 'yes sure')])
    """
    rows: dict[str, dict[str, list[Word]]] = {}
    for count, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith(";;"):
            uri, channel, word = _word(line, f"{path}, line {count}")
            rows.setdefault(uri, {}).setdefault(channel, []).append(word)
    return [Transcript(uri, tuple(_sentences(channels)), grouped=False) for uri, channels in rows.items()]


def _word(line: str, where: str) -> tuple[str, str, Word]:
    fields = split_fields(line, _FEWEST, _MOST)
    if not _FEWEST <= len(fields) <= _MOST:
        raise FormatError(
            f"{where}: found {len(fields)} fields, expected recording, channel, start, duration, word"
        )
    uri, channel, start, duration, text, *rest = fields
    first, length = number(start, where, "start"), number(duration, where, "duration")
    if first < 0 or length < 0:
        raise FormatError(f"{where}: found {short(f'{start} {duration}')}, expected times of 0 or more")
    end = float(Decimal(start) + Decimal(duration))  # exact: as floats 0.1 + 0.2 is not 0.3
    if end == float("inf"):
        raise FormatError(f"{where}: found {short(f'{start} {duration}')}, expected an end that is finite")
    source: dict[str, object] = {"word": text, "start": first, "end": end}
    if rest and _is_number(rest[0]):
        source["score"] = float(rest[0])
    return uri, channel, Word(text, first, end, source)


def _sentences(channels: dict[str, list[Word]]) -> Iterator[Sentence]:
    groups = [group for words in channels.values() for group in _groups(words)]
    return map(sentence_of, sorted(groups, key=lambda group: group[0].start or 0.0))


def _groups(words: Sequence[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in sorted(words, key=lambda word: word.start or 0.0):
        if group and (word.start or 0.0) - (group[-1].end or 0.0) >= PAUSE:
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def sentence_of(words: Sequence[Word]) -> Sentence:
    """Timed words as one sentence."""
    start, end = min(w.start or 0.0 for w in words), max(w.end or 0.0 for w in words)
    text = " ".join(word.text for word in words)
    return Sentence(start, end, text, tuple(words), {"start": start, "end": end, "text": text})

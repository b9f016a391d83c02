"""Speech that stays on disk: utterances in, samples read and prepared when they are used, in bounded memory.

Behaves like the list of `sed.corpora.audio.load_speech`, and yields the same samples. One pass over the audio finds
how long each prepared utterance is; its result is kept in a file, so that a resumed run does not repeat it.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np

from sed.corpora.audio import SpeechOptions, Utterance, prepared_samples, warn_of_silence
from sed.errors import AudioError, FormatError
from sed.files import load_text, save_bytes

_log = logging.getLogger("sed.training")

Item = tuple[Utterance, np.ndarray]


class StoredSpeech(Sequence[Item]):
    """`utterances` and, at ``speech[n]``, one with its samples. At most `memory` bytes of samples are kept.

    `lengths` are the numbers of prepared samples. Pickling, as for worker processes, leaves the samples out.
    """

    def __init__(
        self,
        utterances: Iterable[Utterance],
        options: SpeechOptions | None = None,
        index: str | Path | None = None,
        memory: int = 256 << 20,
        threads: int = 2,
    ) -> None:
        self.options, self.memory = options or SpeechOptions(), memory
        found = list(utterances)
        lengths = _lengths(found, self.options, None if index is None else Path(index), threads)
        spoken = [(u, length) for u, length in zip(found, lengths, strict=True) if length]
        warn_of_silence(len(found) - len(spoken))
        self.utterances = [utterance for utterance, _ in spoken]
        self.lengths = [length for _, length in spoken]
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self._kept = 0

    def __len__(self) -> int:
        return len(self.utterances)

    @overload
    def __getitem__(self, number: int) -> Item: ...

    @overload
    def __getitem__(self, number: slice) -> list[Item]: ...

    def __getitem__(self, number: int | slice) -> Item | list[Item]:
        """An utterance and its samples. Raises `AudioError` if the file changed or disappeared."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        utterance = self.utterances[number]
        samples = self._recent.pop(number, None)
        if samples is None:
            samples = prepared_samples(utterance, self.options)
            if len(samples) != self.lengths[number]:
                raise AudioError(
                    f"{utterance.path}: found {len(samples)} samples of speech, expected the"
                    f" {self.lengths[number]} that it had at the start: the file has changed"
                )
            self._kept += samples.nbytes
        self._recent[number] = samples
        while self._kept > self.memory and self._recent:
            _, oldest = self._recent.popitem(last=False)
            self._kept -= oldest.nbytes
        return utterance, samples

    def __iter__(self) -> Iterator[Item]:
        return (self[number] for number in range(len(self)))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_recent": OrderedDict(), "_kept": 0}


def lengths_of(speech: Sequence[Item]) -> list[tuple[Utterance, int]]:
    """Each utterance of `speech` with its number of samples, without reading any audio."""
    if isinstance(speech, StoredSpeech):
        return list(zip(speech.utterances, speech.lengths, strict=True))
    return [(utterance, len(samples)) for utterance, samples in speech]


def utterances_of(speech: Sequence[Item]) -> list[Utterance]:
    """The utterances of `speech`, without reading any audio."""
    return [utterance for utterance, _ in lengths_of(speech)]


def _lengths(
    utterances: Sequence[Utterance], options: SpeechOptions, index: Path | None, threads: int
) -> list[int]:
    """The number of prepared samples of each utterance, from `index` where file and options are unchanged."""
    stamp = json.loads(json.dumps(asdict(options), sort_keys=True))
    known = _read_index(index, stamp)
    keys = [_key(utterance) for utterance in utterances]
    missing = [n for n, key in enumerate(keys) if key not in known]
    if missing:
        _log.info("measuring %d utterances", len(missing))
        for n, length in zip(
            missing, _measure([utterances[n] for n in missing], options, threads), strict=True
        ):
            known[keys[n]] = length
        if index is not None:
            index.parent.mkdir(parents=True, exist_ok=True)
            save_bytes(json.dumps({"options": stamp, "samples": known}).encode(), index)
    return [known[key] for key in keys]


def _measure(utterances: Sequence[Utterance], options: SpeechOptions, threads: int) -> Iterator[int]:
    """Lengths in order, with only a few utterances in memory at once."""
    remaining = iter(utterances)
    with ThreadPoolExecutor(threads) as pool:  # decoders and resamplers run outside the interpreter lock
        while block := list(islice(remaining, 64)):
            yield from pool.map(lambda utterance: len(prepared_samples(utterance, options)), block)


def _key(utterance: Utterance) -> str:
    try:
        state = utterance.path.stat()
    except OSError as error:
        raise AudioError(f"cannot read {utterance.path}: {error.strerror or error}") from error
    span = f"{utterance.start}-{utterance.stop}"
    return f"{utterance.corpus}|{utterance.path}|{span}|{state.st_size}|{state.st_mtime_ns}"


def _read_index(index: Path | None, stamp: object) -> dict[str, int]:
    if index is None or not index.is_file():
        return {}
    try:
        stored = json.loads(load_text(index))
    except (FormatError, ValueError):
        return {}  # damaged: measured again
    usable = isinstance(stored, dict) and stored.get("options") == stamp
    return dict(stored["samples"]) if usable else {}

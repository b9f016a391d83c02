"""NPZ: a result as NumPy arrays, for those who compute with it: speaker embeddings, posteriors, the table of segments.

``numpy.load(path)`` reads it (no pickles). Times are seconds. S segments, K speakers, C labels, F frames, D dimensions:

=========================  ==================  ==================================================================
key                        type, shape         content
=========================  ==================  ==================================================================
``version``                int                 increases with incompatible changes
``uri``, ``duration``      str, float64        name and length of the recording
``frame_rate``             int                 frames per second of the posteriors
``labels``                 str (C,)            names of the emotions; ``dimensions`` str (D,): of arousal and others
``segment_start``, _end    float64 (S,)        the segments, sorted
``segment_speaker``        str (S,)            empty: unknown; also ``segment_emotion``
``segment_confidence``     float64 (S,)        NaN: unknown
``segment_probabilities``  float64 (S, C)      mean posteriors, NaN: unknown; so ``segment_dimensions``
``speaker``                str (K,)            names of the speakers, sorted
``speaker_embedding``      float32 (K, 192)    projected and of length 1, so that a dot product is a cosine; NaN for a
                                               speaker without clean speech. Only if the diarizer gives them
``speaker_seconds``        float64 (K,)        clean speech that the embedding is of, 0 without one
``posteriors``             float32 (F, C)      only if they are kept (``--posteriors``); so ``dimension_track`` (F, D)
=========================  ==================  ==================================================================
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

from sed.formats.kind import Format
from sed.formats.spelling import TEXT
from sed.result import Diarization

VERSION = 1


def arrays(diarization: Diarization) -> dict[str, np.ndarray]:
    """The arrays of a result by their key.

    >>> from sed.result import Segment
    >>> found = arrays(Diarization("call", 9.0, [Segment(5, 8, "spk00", "angry")], ("neutral", "angry")))
    >>> found["segment_end"].tolist(), found["speaker"].tolist(), found["segment_probabilities"].tolist()
    ([8.0], ['spk00'], [[nan, nan]])
    """
    segments, labels, dimensions = diarization.segments, diarization.labels, diarization.dimensions
    unknown = float("nan")
    found = {
        "version": np.array(VERSION),
        "uri": _text(diarization.uri),
        "duration": np.array(diarization.duration, np.float64),
        "frame_rate": np.array(diarization.frame_rate),
        "labels": _texts(labels),
        "dimensions": _texts(dimensions),
        "segment_start": np.array([s.start for s in segments], np.float64),
        "segment_end": np.array([s.end for s in segments], np.float64),
        "segment_speaker": _texts(s.speaker or "" for s in segments),
        "segment_emotion": _texts(s.emotion or "" for s in segments),
        "segment_confidence": np.array(
            [unknown if s.confidence is None else s.confidence for s in segments], np.float64
        ),
        "segment_probabilities": _table(
            [[s.probabilities.get(c, unknown) for c in labels] for s in segments], labels
        ),
        "segment_dimensions": _table(
            [[s.dimensions.get(d, unknown) for d in dimensions] for s in segments], dimensions
        ),
        "speaker": _texts(diarization.speaker_names),
    }
    if diarization.profiles is not None:
        found |= _embeddings(diarization)
    for name in ("posteriors", "dimension_track"):
        if (track := getattr(diarization, name)) is not None:
            found[name] = np.asarray(track, np.float32)
    return found


def _embeddings(diarization: Diarization) -> dict[str, np.ndarray]:
    profiles = diarization.profiles or {}
    names = diarization.speaker_names
    size = max((len(p.vector) for p in profiles.values()), default=0)
    nothing = np.full(size, np.nan, np.float32)
    vectors = [profiles[n].vector if n in profiles else nothing for n in names]
    seconds = [profiles[n].seconds if n in profiles else 0.0 for n in names]
    return {
        "speaker_embedding": np.array(vectors, np.float32).reshape(len(names), size),
        "speaker_seconds": np.array(seconds, np.float64),
    }


def _text(name: str) -> np.ndarray:
    return np.array(TEXT.write(name), np.str_)


def _texts(names: Iterable[str]) -> np.ndarray:
    return np.array([TEXT.write(name) for name in names], np.str_)


def _table(rows: list[list[float]], columns: tuple[str, ...]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(len(rows), len(columns))


def _pack(diarization: Diarization) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays(diarization))  # type: ignore[arg-type]
    return out.getvalue()


FORMAT = Format("npz", (".npz",), pack=_pack)

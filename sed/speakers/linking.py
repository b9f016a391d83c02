"""Finds the same speakers across recordings by their profiles.

In: the profiles of the speakers of several recordings (`Diarization.profiles`). Out: for each speaker of each recording
a name that is the same in all of them. Speakers of one recording stay different ones.

Average linkage: with centroids instead more strangers are linked (`benchmarks/tuning/enrolment.py`, on `train` and
`valid` speakers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sed.errors import OptionError
from sed.result import SpeakerProfile
from sed.speakers.agglomeration import Clusters, Linkage, agglomerate
from sed.speakers.matching import MATCH_THRESHOLD

_LINKAGE = Linkage(overlap_penalty=10.0)  # the mean cosine; more than a cosine, so never within a recording


def link_speakers(
    recordings: Sequence[Mapping[str, SpeakerProfile]], threshold: float = MATCH_THRESHOLD
) -> list[dict[str, str]]:
    """A name across `recordings` for each speaker in each of them: ``person000``, ``person001``, ... in order.

    The two most similar speakers, or groups of linked speakers, are linked until no two have a mean cosine of
    `threshold` or more, except speakers of one recording. Speakers with less than 5 s of clean speech are uncertain.
    Time and memory grow with the square of the number of speakers. Raises `OptionError` if profiles have different
    dimensions: they are of different embedding networks.

    >>> ann, bob = (SpeakerProfile(vector, 9.0) for vector in np.eye(2))
    >>> again = SpeakerProfile(np.array([0.8, 0.6]), 5.0)
    >>> link_speakers([{"spk00": bob, "spk01": ann}, {"spk00": again}])
    [{'spk00': 'person000', 'spk01': 'person001'}, {'spk00': 'person001'}]
    """
    keys = [(number, name) for number, own in enumerate(recordings) for name in own]
    if not keys:
        return [{} for _ in recordings]
    profiles = [recordings[number][name] for number, name in keys]
    sizes = {len(profile.vector) for profile in profiles}
    if len(sizes) > 1:
        raise OptionError(f"profiles of {sorted(sizes)} dimensions: expected those of one embedding network")
    owner = np.array([number for number, _ in keys])
    first, second = np.nonzero(np.triu(owner[:, None] == owner, 1))
    clusters = Clusters.from_embeddings(
        np.stack([profile.vector for profile in profiles]),
        np.array([profile.seconds for profile in profiles]),
        np.stack([first, second], 1),
    )
    history = agglomerate(clusters, _LINKAGE)
    labels = history.labels(history.count_above(threshold))
    names: list[dict[str, str]] = [{} for _ in recordings]
    for (number, name), label in zip(keys, labels.tolist(), strict=True):
        names[number][name] = f"person{label:03d}"
    return names

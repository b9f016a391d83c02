"""Audio that nobody labelled, for distillation: random stretches of files in, clips without targets out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sed.corpora.audio import check_finite
from sed.errors import AudioError, OptionError
from sed.grid import SAMPLE_RATE
from sed.training.data.augment import Augmentation
from sed.training.data.clips import Batch
from sed.training.recipe.checks import names
from sed.training.schedule import Batches

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def audio_files(places: Sequence[str | Path] | str | Path) -> list[Path]:
    """The audio files among `places` and below those that are folders, in order of name.

    Raises `AudioError` where a place does not exist, or there is no audio.
    """
    found: list[Path] = []
    listed = names(places)
    for place in map(Path, listed):
        if place.is_dir():
            found += sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
        elif place.is_file():
            found.append(place)
        else:
            raise AudioError(f"no unlabelled audio at {place}: expected a file or a folder")
    if not found:
        raise AudioError(f"found no audio in {', '.join(listed)}: expected {' '.join(SUFFIXES)}")
    return found


def random_stretch(rng: np.random.Generator, path: Path, samples: int) -> np.ndarray:
    """`samples` samples from a random point of a file, mono at 16 kHz, silence behind a shorter file.

    Only that stretch is read. Raises `AudioError` where that fails.
    """
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            wanted = -(-samples * file.samplerate // SAMPLE_RATE)
            file.seek(int(rng.integers(max(file.frames - wanted, 0) + 1)))
            wave = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
            rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"cannot read {path}: {error}") from error
    check_finite(path, wave)
    if rate != SAMPLE_RATE:
        wave = soxr.resample(wave, rate, SAMPLE_RATE)
    return np.pad(wave[:samples], (0, max(0, samples - len(wave)))).astype(np.float32)


class WithUnlabelled:
    """The batches of `labelled`, with clips of unlabelled audio behind: `share` of all clips.

    They are as long as the others and have no targets; each file is drawn by its size, so that an hour counts
    as much wherever it lies. Raises `OptionError` where `share` is not between 0 and 1.
    """

    def __init__(
        self,
        labelled: Batches,
        places: Sequence[str | Path] | str | Path,
        share: float,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        if not 0 <= share < 1:
            raise OptionError(f"a share of unlabelled clips of {share}: expected 0 to less than 1")
        self.labelled, self.share, self.augmentation, self.seed = labelled, share, augmentation, seed
        self.files = audio_files(places)
        if not any(path.stat().st_size for path in self.files):
            raise AudioError(f"found only empty files in {', '.join(names(places))}: expected audio")
        sizes = np.array([path.stat().st_size for path in self.files], float)
        self._shares = sizes / sizes.sum()

    def batch(self, number: int) -> Batch:
        """Batch `number` of the labelled ones, and its unlabelled clips."""
        batch = self.labelled.batch(number)
        clips, samples = batch.waves.shape
        count = round(clips * self.share / (1 - self.share))
        rng = np.random.default_rng([self.seed, number, 1])
        waves, clean = np.zeros((2, count, samples), np.float32)
        for row in range(count):
            clean[row] = random_stretch(rng, self.files[rng.choice(len(self.files), p=self._shares)], samples)
            waves[row] = self.augmentation(rng, clean[row])
        lengths = None
        if batch.lengths is not None:
            lengths = np.concatenate([batch.lengths, np.full(count, samples)])
        assert batch.clean is not None
        return Batch(
            np.concatenate([batch.waves, waves]),
            np.concatenate([batch.targets, np.full((count, batch.targets.shape[1]), -1)]),
            np.concatenate([batch.clean, clean]),
            [*batch.events, *[[] for _ in range(count)]],
            lengths,
        )

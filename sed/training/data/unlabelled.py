"""Unlabelled audio for distillation: audio files in, random excerpts of them as clips without targets out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sed.corpora.audio import check_finite
from sed.errors import AudioError, OptionError
from sed.grid import SAMPLE_RATE
from sed.training.data.augment import Augmentation
from sed.training.data.clips import Batch
from sed.training.recipe.checks import as_list
from sed.training.schedule import Batches

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def audio_files(paths: Sequence[str | Path] | str | Path) -> list[Path]:
    """The audio files among `paths`, which may be files and folders (searched recursively, sorted by name).

    Raises `AudioError` if a path does not exist, or there is no audio.
    """
    found: list[Path] = []
    listed = as_list(paths)
    for path in map(Path, listed):
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise AudioError(f"no unlabelled audio at {path}: expected a file or a folder")
    if not found:
        raise AudioError(f"found no audio in {', '.join(listed)}: expected {' '.join(SUFFIXES)}")
    return found


def random_excerpt(rng: np.random.Generator, path: Path, samples: int) -> np.ndarray:
    """`samples` samples from a random position of a file, mono at 16 kHz, zero-padded if the file is shorter.

    Only the excerpt is read. Raises `AudioError` if that fails.
    """
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            length = -(-samples * file.samplerate // SAMPLE_RATE)
            file.seek(int(rng.integers(max(file.frames - length, 0) + 1)))
            wave = file.read(length, dtype="float32", always_2d=True).mean(axis=1)
            rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"cannot read {path}: {error}") from error
    check_finite(path, wave)
    if rate != SAMPLE_RATE:
        wave = soxr.resample(wave, rate, SAMPLE_RATE)
    return np.pad(wave[:samples], (0, max(0, samples - len(wave)))).astype(np.float32)


class WithUnlabelled:
    """The batches of `labelled` followed by clips of unlabelled audio, which make up `share` of all clips.

    Unlabelled clips have the same length and no targets. Files are drawn in proportion to their size, so that long
    recordings are not under-represented. Raises `OptionError` if `share` is not from 0 to less than 1.
    """

    def __init__(
        self,
        labelled: Batches,
        paths: Sequence[str | Path] | str | Path,
        share: float,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        if not 0 <= share < 1:
            raise OptionError(f"unlabelled_share: found {share}, expected 0 to less than 1")
        self.labelled, self.share, self.augmentation, self.seed = labelled, share, augmentation, seed
        self.files = audio_files(paths)
        if not any(path.stat().st_size for path in self.files):
            raise AudioError(f"found only empty files in {', '.join(as_list(paths))}: expected audio")
        sizes = np.array([path.stat().st_size for path in self.files], float)
        self._shares = sizes / sizes.sum()

    def batch(self, number: int) -> Batch:
        """Batch `number` of the labelled clips, followed by its unlabelled clips."""
        batch = self.labelled.batch(number)
        clips, samples = batch.waves.shape
        count = round(clips * self.share / (1 - self.share))
        rng = np.random.default_rng([self.seed, number, 1])
        waves, clean = np.zeros((2, count, samples), np.float32)
        for row in range(count):
            clean[row] = random_excerpt(rng, self.files[rng.choice(len(self.files), p=self._shares)], samples)
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

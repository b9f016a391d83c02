"""The input of the networks, computed inside them: log-mel of raw waves as Whisper and as CAM++ were trained on.

Both are convolutions with a windowed Fourier basis, so an exported graph takes raw waves. Each item of a batch is
computed separately, and its level does not matter.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.audio.fbank import kaldi_tables
from sed.grid import HOP, SAMPLE_RATE

FOURIER = 400  # samples of an analysis window: 25 ms
MEL_HOP = 160  # samples between windows: 10 ms
BINS = FOURIER // 2 + 1
_FLOOR = 1e-10  # of the mel energies; digital silence is all floor
_QUIETEST = 20.0  # below the loudest point (natural logarithm), about what Kaldi's features keep
_PAUSE = 10.0  # a frame so far below the loudest is none of speech (mean of its bands)

assert MEL_HOP * 2 == HOP


def mel_filters(bands: int = 80) -> np.ndarray:
    """Slaney's mel filters with equal areas, ``(bands, 201)`` float32: the ones Whisper was trained on.

    Linear below 1 kHz (3 mels per 200 Hz), logarithmic above (27 mels for a factor of 6.4).
    """
    knee, step = 15.0, math.log(6.4) / 27

    def to_hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < knee, mel * 200 / 3, 1000 * np.exp(step * (np.maximum(mel, knee) - knee)))

    top = knee + math.log(SAMPLE_RATE / 2 / 1000) / step
    corners = to_hertz(np.linspace(0, top, bands + 2))
    bins = np.arange(BINS) * SAMPLE_RATE / FOURIER
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return (filters * (2 / (corners[2:] - corners[:-2]))[:, None]).astype(np.float32)


class _Mel(nn.Module):
    """Mel energies of waves by `basis` ``(2 * bins, 400)``, its cosines before its sines, and `filters` ``(bands,
    bins)``: the window of frame ``t`` is centred on sample ``160 * t``; the audio is zero outside the input."""

    basis: Tensor
    filters: Tensor

    def __init__(self, basis: np.ndarray, filters: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("basis", torch.from_numpy(basis[:, None].astype(np.float32)), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Features of `waves`, in float32 even in mixed-precision training: in sums of 8 bits a loud band would mask
        the others."""
        if torch.is_autocast_enabled(waves.device.type):
            with torch.autocast(waves.device.type, enabled=False):
                return self(waves.float())
        if waves.is_cuda:  # so would the tensor cores' short mantissa
            with torch.backends.cudnn.flags(allow_tf32=False):
                return self._mel(waves)
        return self._mel(waves)

    def _mel(self, waves: Tensor) -> Tensor:
        # A hop more than needed, then cut: the whole graph is then free of data-dependent branches.
        padded = functional.pad(waves, (FOURIER // 2, FOURIER // 2 + HOP))
        spectrum = functional.conv1d(padded[:, None], self.basis, stride=MEL_HOP)
        bins = self.filters.shape[1]
        mel = torch.matmul(self.filters, spectrum[:, :bins] ** 2 + spectrum[:, bins:] ** 2)
        frames = (waves.shape[1] + HOP - 1) // HOP
        return self._features(mel[:, :, : 2 * frames].clamp(min=_FLOOR))

    def _features(self, energies: Tensor) -> Tensor:
        """The network's input from mel energies ``(B, bands, 2 * frames)``."""
        raise NotImplementedError


def _waves_of(bins: int, size: int) -> np.ndarray:
    """Cosines, then sines, of the first `bins` of a Fourier transform of `size` samples, ``(2 * bins, 400)``."""
    angle = 2 * np.pi * np.outer(np.arange(bins), np.arange(FOURIER)) / size
    return np.concatenate([np.cos(angle), np.sin(angle)])


class LogMel(_Mel):
    """Whisper's log-mel features: ``(B, T)`` waves to ``(B, bands, 2 * ceil(T / 320))``.

    Values are relative to the loudest point of each item and reach 2 (8 decades) below it.
    """

    def __init__(self, bands: int = 80) -> None:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FOURIER) / FOURIER)
        super().__init__(_waves_of(BINS, FOURIER) * window, mel_filters(bands))

    def _features(self, energies: Tensor) -> Tensor:
        logs = torch.log10(energies)
        loudest = logs.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(logs, loudest - 8.0) + 4.0) / 4.0


class KaldiMel(_Mel):
    """Kaldi's log-mel features as the input of CAM++: ``(B, T)`` waves to ``(B, 80, 2 * ceil(T / 320))``.

    As `sed.audio.fbank.filter_bank`, with three differences. Frames are those of `LogMel`. Values are
    limited to at most 20 (87 dB) below the loudest point of an item. And the mean that is subtracted is that of the
    frames with sound, since silence around speech would shift it.
    """

    def __init__(self) -> None:
        window, filters, preemphasis = kaldi_tables()
        bins = len(filters)
        # Offset, pre-emphasis and window are linear, too: one basis does all four steps.
        steps = np.eye(FOURIER) - 1 / FOURIER
        steps = np.concatenate([(1 - preemphasis) * steps[:1], steps[1:] - preemphasis * steps[:-1]])
        super().__init__((_waves_of(bins, 2 * (bins - 1)) * window) @ steps, filters.T.copy())

    def _features(self, energies: Tensor) -> Tensor:
        logs = torch.log(energies)
        logs = torch.maximum(logs, logs.amax(dim=(1, 2), keepdim=True) - _QUIETEST)
        level = logs.mean(1, keepdim=True)
        sounds = (level > level.amax(2, keepdim=True) - _PAUSE).to(logs.dtype)
        return logs - (logs * sounds).sum(2, keepdim=True) / sounds.sum(2, keepdim=True)


def mask_spectrum(mel: Tensor, masks: int) -> Tensor:
    """SpecAugment (Park et al. 2019): `masks` masks of up to 12 bands and of up to 300 ms of ``(B, bands,
    frames)`` log-mel are set to each item's mean; 0 changes nothing."""
    if not masks:
        return mel
    batch, bands, frames = mel.shape
    mean = mel.mean(dim=(1, 2), keepdim=True)
    hidden = torch.zeros(batch, bands, frames, dtype=torch.bool, device=mel.device)
    for size, widest, axis in ((bands, 12, 1), (frames, 30, 2)):
        place = torch.arange(size, device=mel.device)
        for _ in range(masks):
            width = torch.rand(batch, 1, device=mel.device) * min(widest, size // 4)
            start = torch.rand(batch, 1, device=mel.device) * (size - width)
            masked = (place >= start) & (place < start + width)
            hidden = hidden | masked.unsqueeze(3 - axis)
    return torch.where(hidden, mean, mel)


def mix_styles(mel: Tensor, share: float, alpha: float = 0.4) -> Tensor:
    """Freq-MixStyle (Kim et al. 2022): a `share` of the items of ``(B, bands, frames)`` log-mel get the mean and
    deviation of each band partly from another item of the batch, as if recorded by another microphone in another
    room; how much is drawn from a beta distribution (`alpha`, `alpha`). 0 changes nothing."""
    if not share:
        return mel
    batch = len(mel)
    deviation, mean = torch.std_mean(mel, 2, keepdim=True, correction=0)
    deviation = deviation + 1e-5
    other = torch.randperm(batch, device=mel.device)
    drawn = torch.distributions.Beta(alpha, alpha).sample((batch, 1, 1)).to(mel)
    kept = torch.where(torch.rand(batch, 1, 1, device=mel.device) < share, drawn, torch.ones_like(drawn))
    mixed_mean = kept * mean + (1 - kept) * mean[other]
    mixed_deviation = kept * deviation + (1 - kept) * deviation[other]
    return (mel - mean) / deviation * mixed_deviation + mixed_mean

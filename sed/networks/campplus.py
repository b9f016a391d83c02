"""Speaker features frame by frame: the lower half of CAM++, with the weights of its published ONNX file.

H. Wang et al., *CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking*, 2023: a
small convolutional network over the picture of the spectrum, then two blocks of densely connected layers over time,
each of whose outputs is masked by a summary of its context. Trained to distinguish speakers, its middle layers
also know how they speak. In: features of `sed.networks.mel.KaldiMel`. Out: ``(B, F, 512)``, 50 frames a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import ModelError
from sed.hub import local

WIDTH = 512
_CHANNELS, _GROWTH, _HIDDEN = 32, 32, 128
_BLOCKS = ((12, 1), (24, 2))  # layers and dilation
_SEGMENT = 100  # frames whose mean is the context of a frame, together with that of the whole input
_INNER = {
    "nonlinear1/batchnorm": "scale",
    "cam_layer/linear_local": "local",
    "cam_layer/linear1": "context1",
    "cam_layer/linear2": "context2",
}
_PATTERNS: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"/head/(conv\d)/Conv_output_0", lambda name: name),
    (
        r"/head/layer\d/layer(\d)\.(\d)/(conv\d|shortcut)/.*Conv_output_0",
        lambda layer, number, name: f"picture.{2 * int(layer) + int(number) - 2}.{name}",
    ),
    (r"/xvector/(tdnn)/linear/Conv_output_0", lambda name: name),
    (r"/xvector/transit(\d)/linear/Conv_output_0", lambda n: f"transits.{int(n) - 1}"),
    (r"/xvector/transit(\d)/nonlinear/.*", lambda n: f"scales.{int(n) - 1}"),
    (
        r"/xvector/block(\d)/tdnnd(\d+)/(linear1|nonlinear1/batchnorm|cam_layer/\w+)/[^/]*",
        lambda block, n, name: f"blocks.{int(block) - 1}.{int(n) - 1}.{_INNER.get(name, name)}",
    ),
)
_EPSILON = 1e-5  # of the batch normalisations


class _Residual(nn.Module):
    """Two convolutions over bands and frames; the first may halve the bands."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(_CHANNELS, _CHANNELS, 3, (stride, 1), 1)
        self.conv2 = nn.Conv2d(_CHANNELS, _CHANNELS, 3, 1, 1)
        self.shortcut = nn.Conv2d(_CHANNELS, _CHANNELS, 1, (stride, 1)) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv2(functional.relu(self.conv1(x))) + self.shortcut(x))


class _Scale(nn.Module):
    """A batch normalisation with fixed statistics, as a factor and an offset for each channel, and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor, self.offset = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x * self.factor + self.offset)


class _DenseLayer(nn.Module):
    """Appends 32 channels to its input: a convolution over time, masked by its context."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.scale = _Scale(width)
        self.linear1 = nn.Linear(width, _HIDDEN)
        self.local = nn.Linear(3 * _HIDDEN, _GROWTH, bias=False)  # three concatenated taps
        self.context1 = nn.Linear(_HIDDEN, _HIDDEN // 2)
        self.context2 = nn.Linear(_HIDDEN // 2, _GROWTH)

    def forward(self, x: Tensor, pool: Tensor, spread: Tensor) -> Tensor:
        hidden = functional.relu(self.linear1(self.scale(x)))
        padded = functional.pad(hidden, (0, 0, self.dilation, self.dilation))
        frames = hidden.shape[1]
        taps = [padded[:, start : start + frames] for start in (0, self.dilation, 2 * self.dilation)]
        local = self.local(torch.cat(taps, 2))
        mask = torch.sigmoid(self.context2(functional.relu(self.context1(pool @ hidden))))
        return torch.cat([x, local * (spread @ mask)], 2)


class _Block(nn.ModuleList):
    """A sequence of dense layers."""

    def __init__(self, width: int, layers: int, dilation: int) -> None:
        super().__init__(_DenseLayer(width + n * _GROWTH, dilation) for n in range(layers))

    def forward(self, x: Tensor, pool: Tensor, spread: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, pool, spread)
        return x


class VoiceEncoder(nn.Module):
    """CAM++ up to its second transition; frozen unless `learns`."""

    def __init__(self, bands: int = 80, learns: bool = False) -> None:
        super().__init__()
        self.learns = learns
        self.conv1 = nn.Conv2d(1, _CHANNELS, 3, 1, 1)
        self.picture = nn.ModuleList(_Residual(stride) for stride in (2, 1, 2, 1))
        self.conv2 = nn.Conv2d(_CHANNELS, _CHANNELS, 3, (2, 1), 1)
        width = _HIDDEN
        self.tdnn = nn.Conv1d(_CHANNELS * bands // 8, width, 5, 2, 2)
        self.blocks, self.scales, self.transits = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for layers, dilation in _BLOCKS:
            self.blocks.append(_Block(width, layers, dilation))
            width += layers * _GROWTH
            self.scales.append(_Scale(width))
            self.transits.append(nn.Linear(width, width // 2, bias=False))
            width //= 2
        assert width == WIDTH
        self.requires_grad_(learns)

    def forward(self, mel: Tensor) -> Tensor:
        """``(B, 80, 2 F)`` features to ``(B, F, 512)``."""
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            x = functional.relu(self.conv1(mel[:, None]))
            for residual in self.picture:
                x = residual(x)
            x = functional.relu(self.conv2(x)).flatten(1, 2)
            x = functional.relu(self.tdnn(x)).transpose(1, 2)
            pool, spread = _context(x)
            for block, scale, transit in zip(self.blocks, self.scales, self.transits, strict=True):
                x = transit(scale(block(x, pool, spread)))
            return x

    def load(self, path: str | Path) -> None:
        """Load the weights from the published ONNX file (3D-Speaker's CAM++, 192-d).

        `path` may be a file on the Hugging Face hub, ``owner/name/FILE`` (`sed.hub.local`). Raises `ModelError` if the
        file is missing or is another network.
        """
        weights = _read(local(path, []))
        state = {}
        for name, value in self.state_dict().items():
            found = weights.get(name)
            if found is None or found.size != value.numel():
                shape = "nothing" if found is None else f"shape {found.shape}"
                raise ModelError(
                    f"{path}: found {shape} for {name}, expected CAM++ with {tuple(value.shape)}"
                )
            state[name] = torch.from_numpy(found.reshape(value.shape).copy())
        self.load_state_dict(state)


def _context(x: Tensor) -> tuple[Tensor, Tensor]:
    """For states ``(B, F, C)``: ``(S, F)``, whose product with them is the mean of each segment plus that of all
    frames, and ``(F, S)``, which expands values of segments to their frames."""
    frames = x.shape[1]
    segments = (frames + _SEGMENT - 1) // _SEGMENT
    segment = torch.arange(frames, device=x.device) // _SEGMENT
    membership = (segment[:, None] == torch.arange(segments, device=x.device)).to(x.dtype)
    means = membership / membership.sum(0, keepdim=True)
    return (means + 1 / frames).transpose(0, 1), membership


def _read(path: str | Path) -> dict[str, np.ndarray]:
    """The weights of a CAM++ ONNX file by the names of `VoiceEncoder`."""
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:
        raise ModelError(f"cannot read speaker weights from {path}: {error}") from error
    stored: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "BatchNormalization"):
            continue
        values = [numpy_helper.to_array(stored[name]) for name in node.input if name in stored]
        name = _translate(node.output[0])
        if node.op_type == "BatchNormalization" and len(values) == 4:
            weight, bias, mean, variance = values
            factor = weight / np.sqrt(variance + _EPSILON)
            found[f"{name}.factor"], found[f"{name}.offset"] = factor, bias - mean * factor
        elif node.op_type == "Conv" and values:
            weight = values[0]
            if name.endswith(".local"):  # (out, in, 3) to three concatenated taps
                weight = weight.transpose(0, 2, 1)
            found[f"{name}.weight"] = weight
            if len(values) > 1:
                found[f"{name}.bias"] = values[1]
    return found


def _translate(output: str) -> str:
    """A name of the ONNX file, such as ``/xvector/block1/tdnnd3/linear1/Conv_output_0``, in those of this module;
    empty for what it has no use for."""
    for pattern, make in _PATTERNS:
        if found := re.fullmatch(pattern, output):
            return make(*found.groups())
    return ""

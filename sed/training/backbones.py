"""Pretrained speech encoders of transformers behind one surface: 16 kHz waves in, states of every layer out.

`ConvBackbone` takes any encoder with a convolutional front end of 320 samples a step and transformer layers
behind it (WavLM, HuBERT, wav2vec 2.0, data2vec-audio, UniSpeech-SAT, ...); `sed.training.whisper` has the one for
Whisper. Both are made from a configuration alone (a dict, as in ``config.json``); weights come later. The
parameter names below `encoder` are those of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed._torchaudio import allow_missing_extension
from sed.errors import ModelError
from sed.grid import HOP
from sed.training.features import convolve, suits

allow_missing_extension()

FAMILIES = "WavLM, HuBERT, wav2vec 2.0, data2vec-audio or Whisper"
Hear = Callable[[int, Tensor], None]  # called with the number of a layer (0: its input) and its states


def frame_counts(lengths: Tensor) -> Tensor:
    """20 ms frames begun by each of `lengths` samples."""
    return (lengths + HOP - 1) // HOP


class ConvBackbone(nn.Module):
    """An encoder whose convolutions make a frame of every 320 samples.

    They hear more than 320 samples a frame (400 as published) and so make a frame too few for the audio. With
    `pad_tail` the audio is padded with zeros, so that each frame is heard with its own samples in the middle
    and none is lost; without, the last frames repeat their neighbour, which is what an encoder that was
    trained without padding should do.
    """

    def __init__(self, config: Any, pad_tail: bool) -> None:
        super().__init__()
        from transformers import AutoModel

        self.encoder = AutoModel.from_config(config)
        parts = ("feature_extractor", "feature_projection", "encoder")
        kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
        if not kernels or not strides or not all(hasattr(self.encoder, part) for part in parts):
            raise ModelError(f"found an encoder of type {config.model_type!r}, expected {FAMILIES}")
        self.field, step = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            self.field += (kernel - 1) * step
            step *= stride
        if step != HOP:
            raise ModelError(f"found an encoder that makes a frame of {step} samples, expected {HOP}")
        self.width: int = config.hidden_size
        self.longest: int | None = None
        self.pad_tail = pad_tail
        # Normalising over time lets zeros behind a shorter item change its features.
        self._alone = getattr(config, "feat_extract_norm", "group") == "group"
        if config.model_type == "wavlm":
            self._fuse_attention(config)

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, lowest first."""
        return self.encoder.encoder.layers

    @property
    def front(self) -> list[nn.Module]:
        """What comes before the layers, without the convolutions."""
        stem = [self.encoder.feature_projection, self.encoder.encoder.pos_conv_embed]
        return stem if self.final_norm else [*stem, self.encoder.encoder.layer_norm]

    @property
    def final_norm(self) -> nn.Module | None:
        """The normalisation after the last layer, where the encoder has one."""
        stable = getattr(self.encoder.config, "do_stable_layer_norm", False)
        return self.encoder.encoder.layer_norm if stable else None

    def freeze_features(self) -> None:
        """The convolutions do not learn, nor does the way back lead through them."""
        self.encoder.feature_extractor.requires_grad_(False)
        self.encoder.feature_extractor._requires_grad = False

    def unused(self) -> list[nn.Parameter]:
        """Parameters that pretraining needed and nothing here does."""
        names = ("masked_spec_embed", "adapter")
        return [p for name, p in self.encoder.named_parameters() if name.startswith(names)]

    def forward(
        self, waves: Tensor, lengths: Tensor | None, hear: Hear | None, mask: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """``(B, T)`` waves to ``(B, F, width)``, the last layer's states after `final_norm`.

        ``F = ceil(T / 320)`` where the tail is padded; else `extend` completes what is made of the states.
        `lengths` ``(B,)`` are the samples that each item really has: it then sounds as if alone. `hear` is
        given every layer's states as they come, `mask` changes the features that enter the layers.
        """
        frames = (waves.shape[1] + HOP - 1) // HOP
        hidden = self.encoder.feature_projection(self._features(waves, lengths, frames))
        hidden = mask(hidden[0] if isinstance(hidden, tuple) else hidden)
        exists = None
        if lengths is not None and int(lengths.min()) < waves.shape[1]:
            exists = torch.arange(hidden.shape[1], device=hidden.device) < self.made(lengths)[:, None]
        hooks = (self._listen(hear) if hear else []) + ([] if exists is None else self._confine(exists))
        try:
            last: Tensor = self.encoder.encoder(hidden, attention_mask=exists).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return last

    def made(self, lengths: Tensor) -> Tensor:
        """Frames that the convolutions make of each of `lengths` samples."""
        return frame_counts(lengths) if self.pad_tail else (lengths - self.field).clamp(min=0) // HOP + 1

    def extend(self, states: Tensor, lengths: Tensor | None, frames: int) -> Tensor:
        """`states` ``(B, made, width)`` with the last one that an item really has repeated up to `frames`."""
        if self.pad_tail:
            return states
        last = torch.full((states.shape[0],), states.shape[1], device=states.device)
        if lengths is not None:
            last = torch.minimum(last, self.made(lengths))
        place = torch.minimum(torch.arange(frames, device=states.device), last[:, None] - 1)
        return states.gather(1, place[:, :, None].expand(-1, -1, states.shape[2]))

    def _features(self, waves: Tensor, lengths: Tensor | None, frames: int) -> Tensor:
        """``(B, frames made, channels)`` from the convolutions."""
        spare = self.field - HOP
        if self.pad_tail:
            before = spare // 2
            waves = functional.pad(waves, (before, frames * HOP + spare - before - waves.shape[1]))
        else:  # without a branch, or an exported graph would know one side of it only
            waves = functional.pad(waves, (0, torch.sym_max(self.field - waves.shape[1], 0)))
        if lengths is None or not self._alone or int(lengths.min()) == int(lengths.max()):
            return self._convolve(waves)
        ends = frame_counts(lengths) * HOP + spare if self.pad_tail else lengths.clamp(min=self.field)
        parts = [self._convolve(wave[None, : int(end)])[0] for wave, end in zip(waves, ends, strict=True)]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True)

    def _convolve(self, waves: Tensor) -> Tensor:
        extractor = self.encoder.feature_extractor
        return convolve(extractor, waves) if suits(extractor, waves) else extractor(waves).transpose(1, 2)

    def _listen(self, hear: Hear) -> list[Any]:
        def before(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            hear(0, arguments[0])

        def after(number: int) -> Callable[..., None]:
            def listen(_: nn.Module, __: Any, output: Any) -> None:
                hear(number, output[0] if isinstance(output, tuple) else output)

            return listen

        hooks = [self.layers[0].register_forward_pre_hook(before)]
        return hooks + [
            layer.register_forward_hook(after(number)) for number, layer in enumerate(self.layers, 1)
        ]

    def _confine(self, exists: Tensor) -> list[Any]:
        """Where positions come from several convolutions (data2vec), each sees zeros behind an item."""

        def after(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            return output * exists[:, None]

        return [
            layer.register_forward_hook(after)
            for layer in getattr(self.encoder.encoder.pos_conv_embed, "layers", ())
        ]

    def _fuse_attention(self, config: Any) -> None:
        from sed.training.attention import GatedAttention

        layer: Any
        for number, layer in enumerate(self.layers):
            own = GatedAttention(
                config.hidden_size,
                config.num_attention_heads,
                config.attention_dropout,
                config.num_buckets,
                config.max_bucket_distance,
                has_relative_position_bias=number == 0,
            )
            own.load_state_dict(layer.attention.state_dict())
            layer.attention = own


def make_backbone(config: Mapping[str, Any], pad_tail: bool = True, dropout: float | None = None) -> Any:
    """The encoder that `config` describes, with random weights.

    `dropout` replaces every dropout of the configuration; layers are never dropped as a whole, and masking is
    the caller's. Raises `ModelError` where transformers has no such encoder, or it has not 50 frames a second.
    """
    from transformers import AutoConfig

    from sed.training.whisper import WhisperBackbone

    settings = dict(config)
    kind = settings.pop("model_type", None)
    for name in ("dtype", "torch_dtype"):  # in which the weights were stored; here they are float32
        settings.pop(name, None)
    for name in ("layerdrop", "encoder_layerdrop", "decoder_layerdrop"):
        settings[name] = 0.0
    if dropout is not None:
        settings.update(dict.fromkeys(_DROPOUTS, dropout))
    try:
        parsed = AutoConfig.for_model(kind, **settings)
        return (WhisperBackbone if kind == "whisper" else ConvBackbone)(parsed, pad_tail)
    except ModelError:
        raise
    except Exception as error:  # transformers raises what comes: ValueError, KeyError, huggingface_hub's own
        # Some of them go on with a list of all that would have been possible.
        reason = " ".join(str(error).split()).split(". ")[0][:200]
        raise ModelError(f"found an encoder of type {kind!r}, expected {FAMILIES}: {reason}") from error


def without_initial_values() -> AbstractContextManager[None]:
    """Modules made inside are not initialised: for those whose weights all come from a file.

    Drawing them takes longer than everything else about loading (4.4 of 4.5 processor seconds for a base model).
    """
    from transformers.initialization import no_init_weights

    return no_init_weights()


_DROPOUTS = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "dropout")

"""`ConvBackbone`: encoders of transformers with a convolutional front end; 16 kHz waves in, layer states out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import ModelError
from sed.grid import HOP
from sed.networks.base import StateHook, frame_counts
from sed.networks.fast_convolutions import convolve, suits

FAMILIES = "WavLM, HuBERT, wav2vec 2.0, data2vec-audio or Whisper"


class ConvBackbone(nn.Module):
    """An encoder with a convolutional front end of 320 samples per frame.

    Its receptive field is larger than 320 samples (400 in published models), so it returns one frame too few. With
    `pad_tail` the audio is padded with zeros, so that each frame is centred on its samples and none is lost;
    without, the last frame is repeated, for encoders trained without padding.
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
        self.max_samples: int | None = None
        self.pad_tail = pad_tail
        # With normalisation over time, zeros after a shorter item would change its features.
        self._separate_items = getattr(config, "feat_extract_norm", "group") == "group"
        if config.model_type == "wavlm":
            self._fuse_attention(config)

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, lowest first."""
        return self.encoder.encoder.layers

    @property
    def front(self) -> list[nn.Module]:
        """The modules before the layers, without the convolutions."""
        stem = [self.encoder.feature_projection, self.encoder.encoder.pos_conv_embed]
        return stem if self.final_norm else [*stem, self.encoder.encoder.layer_norm]

    @property
    def final_norm(self) -> nn.Module | None:
        """The normalisation after the last layer, if the encoder has one."""
        stable = getattr(self.encoder.config, "do_stable_layer_norm", False)
        return self.encoder.encoder.layer_norm if stable else None

    def freeze_features(self) -> None:
        """Freeze the convolutions and exclude them from the backward pass."""
        self.encoder.feature_extractor.requires_grad_(False)
        self.encoder.feature_extractor._requires_grad = False

    def unused(self) -> list[nn.Parameter]:
        """Parameters that only pretraining uses."""
        names = ("masked_spec_embed", "adapter")
        return [p for name, p in self.encoder.named_parameters() if name.startswith(names)]

    def forward(
        self,
        waves: Tensor,
        lengths: Tensor | None,
        on_states: StateHook | None,
        mask: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """``(B, T)`` waves to ``(B, F, width)``, the last layer's states after `final_norm`.

        ``F = ceil(T / 320)`` if the tail is padded; otherwise `extend` completes the frames.
        `lengths` ``(B,)`` are the samples of each item without padding, which then does not affect its result.
        `on_states` is called with every layer's states, `mask` changes the features that enter the layers.
        """
        frames = (waves.shape[1] + HOP - 1) // HOP
        hidden = self.encoder.feature_projection(self._features(waves, lengths, frames))
        hidden = mask(hidden[0] if isinstance(hidden, tuple) else hidden)
        exists = None
        if lengths is not None and int(lengths.min()) < waves.shape[1]:
            exists = torch.arange(hidden.shape[1], device=hidden.device) < self.valid_frames(lengths)[:, None]
        hooks = (self._hooks(on_states) if on_states else []) + (
            [] if exists is None else self._mask_positions(exists)
        )
        try:
            last: Tensor = self.encoder.encoder(hidden, attention_mask=exists).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return last

    def valid_frames(self, lengths: Tensor) -> Tensor:
        """Number of frames from the convolutions for each of `lengths` samples."""
        return frame_counts(lengths) if self.pad_tail else (lengths - self.field).clamp(min=0) // HOP + 1

    def extend(self, states: Tensor, lengths: Tensor | None, frames: int) -> Tensor:
        """Repeat the last valid frame of each item of `states` ``(B, F, width)``, up to `frames` frames."""
        if self.pad_tail:
            return states
        last = torch.full((states.shape[0],), states.shape[1], device=states.device)
        if lengths is not None:
            last = torch.minimum(last, self.valid_frames(lengths))
        index = torch.minimum(torch.arange(frames, device=states.device), last[:, None] - 1)
        return states.gather(1, index[:, :, None].expand(-1, -1, states.shape[2]))

    def _features(self, waves: Tensor, lengths: Tensor | None, frames: int) -> Tensor:
        """``(B, F, channels)`` from the convolutions."""
        excess = self.field - HOP
        if self.pad_tail:
            before = excess // 2
            waves = functional.pad(waves, (before, frames * HOP + excess - before - waves.shape[1]))
        else:  # no `if`: an exported graph would contain only one side of the branch
            waves = functional.pad(waves, (0, torch.sym_max(self.field - waves.shape[1], 0)))
        if lengths is None or not self._separate_items or int(lengths.min()) == int(lengths.max()):
            return self._convolve(waves)
        ends = frame_counts(lengths) * HOP + excess if self.pad_tail else lengths.clamp(min=self.field)
        parts = [self._convolve(wave[None, : int(end)])[0] for wave, end in zip(waves, ends, strict=True)]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True)

    def _convolve(self, waves: Tensor) -> Tensor:
        extractor = self.encoder.feature_extractor
        return convolve(extractor, waves) if suits(extractor, waves) else extractor(waves).transpose(1, 2)

    def _hooks(self, on_states: StateHook) -> list[Any]:
        def before(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            on_states(0, arguments[0])

        def after(number: int) -> Callable[..., None]:
            def after_layer(_: nn.Module, __: Any, output: Any) -> None:
                on_states(number, output[0] if isinstance(output, tuple) else output)

            return after_layer

        hooks = [self.layers[0].register_forward_pre_hook(before)]
        return hooks + [
            layer.register_forward_hook(after(number)) for number, layer in enumerate(self.layers, 1)
        ]

    def _mask_positions(self, exists: Tensor) -> list[Any]:
        """With several positional convolutions (data2vec), make each of them see zeros after an item."""

        def after(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            return output * exists[:, None]

        return [
            layer.register_forward_hook(after)
            for layer in getattr(self.encoder.encoder.pos_conv_embed, "layers", ())
        ]

    def _fuse_attention(self, config: Any) -> None:
        from sed.networks.wavlm_attention import GatedAttention

        layer: Any
        for number, layer in enumerate(self.layers):
            fused = GatedAttention(
                config.hidden_size,
                config.num_attention_heads,
                config.attention_dropout,
                config.num_buckets,
                config.max_bucket_distance,
                has_relative_position_bias=number == 0,
            )
            fused.load_state_dict(layer.attention.state_dict())
            layer.attention = fused

"""WavLM's self-attention with gated relative position bias (Chen et al. 2022), computed in one fused step.

The implementation of transformers also returns the attention weights and so needs several arrays of ``heads x
frames x frames`` per layer. This one has the same output and parameter names and needs only one, the bias.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.wavlm.modeling_wavlm import WavLMAttention


class GatedAttention(WavLMAttention):
    """A replacement for transformers' `WavLMAttention`."""

    def forward(  # type: ignore[override]  # the declared type differs from the actual one
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        index: int = 0,
        **_: Any,
    ) -> tuple[Tensor, None, Tensor]:
        """``(B, F, width)`` to the same shape; `attention_mask` ``(B, F)`` is true for valid frames.

        `position_bias` ``(1, heads, F, F)`` is computed by the first layer and reused by the others.
        """
        frames = hidden_states.shape[1]
        if position_bias is None:
            position_bias = self._bias(frames)
        split = hidden_states.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2)
        gates = self.gru_rel_pos_linear(split).unflatten(3, (2, 4)).sum(4).sigmoid()
        gate = gates[..., :1] * (gates[..., 1:] * self.gru_rel_pos_const - 1.0) + 2.0
        query, key, value = (
            projection(hidden_states).unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias = (gate * position_bias).to(query.dtype)
        if attention_mask is not None:
            bias = bias.masked_fill(~attention_mask.bool()[:, None, None], float("-inf"))
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None, position_bias

    def _bias(self, frames: int) -> Tensor:
        """``(1, heads, F, F)``, which depends only on the distance, so 2 F - 1 buckets suffice.

        Uses indexing instead of `Tensor.unfold`, whose size would be constant in an exported graph.
        """
        position = torch.arange(frames, device=self.rel_attn_embed.weight.device)
        distance = torch.arange(1 - frames, frames, device=position.device)
        values = self.rel_attn_embed(self._relative_positions_bucket(distance)).T
        return values[:, position - position[:, None] + (frames - 1)][None]

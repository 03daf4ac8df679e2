"""The section `model`: the encoder's architecture."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from bert_tf.config.section import Rate, Section

MODEL_SIZES: dict[str, dict[str, int]] = {
    name: {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }
    for name, layers, hidden, heads in (
        ("tiny", 2, 128, 2),
        ("mini", 4, 256, 4),
        ("small", 4, 512, 8),
        ("medium", 8, 512, 8),
        ("base", 12, 768, 12),
        ("large", 24, 1024, 16),
    )
}
"""Devlin et al. 2019 (base, large); Turc et al. 2019 (the smaller ones)."""


class ModelConfig(Section):
    """The encoder's architecture, in the names of Google's `bert_config.json`."""

    size: Literal["tiny", "mini", "small", "medium", "base", "large"] | None = None
    """Sets the four numbers below that are not given. Without it they default to base."""
    num_hidden_layers: pydantic.PositiveInt = 12
    hidden_size: pydantic.PositiveInt = 768
    num_attention_heads: pydantic.PositiveInt = 12
    intermediate_size: pydantic.PositiveInt = 3072
    vocab_size: pydantic.PositiveInt | None = None
    """Default: the vocabulary's size."""
    max_position_embeddings: pydantic.PositiveInt = 512
    type_vocab_size: pydantic.PositiveInt = 2
    hidden_act: Literal["gelu", "gelu_exact", "relu"] = "gelu"
    """`gelu` is Google's tanh approximation; `gelu_exact` uses the error function."""
    norm_first: bool = False
    """LayerNorm before attention and feed-forward network (pre-LN) instead of after (post-LN)."""
    position_embedding: Literal["learned", "sinusoidal"] = "learned"
    """`sinusoidal` positions have no weights; max_position_embeddings stays the limit."""
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    initializer_range: pydantic.PositiveFloat = 0.02
    layer_norm_eps: pydantic.PositiveFloat = 1e-12
    masked_lm_act: Literal["gelu", "gelu_exact", "relu"] | None = None
    """The masked-token head's own activation, for models of libraries that have another there.
    Default: hidden_act."""
    masked_lm_layer_norm_eps: pydantic.PositiveFloat | None = None
    """The masked-token head's own epsilon, for the same. Default: layer_norm_eps."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in_size(cls, values: Any) -> Any:
        size = values.get("size") if isinstance(values, Mapping) else None
        if isinstance(size, str) and size in MODEL_SIZES:
            return {**MODEL_SIZES[size], **values}
        return values

    @pydantic.model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "num_attention_heads must divide hidden_size. Received: "
                f"hidden_size={self.hidden_size}, num_attention_heads={self.num_attention_heads}. "
                f"Use a divisor of {self.hidden_size}."
            )
        return self

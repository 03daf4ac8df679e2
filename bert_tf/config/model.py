"""The section `model`: the architecture of an encoder, or of an encoder and a decoder."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from bert_tf.config.section import Rate, Section

_OF_ENCODERS: dict[str, dict[str, Any]] = {
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
_OF_ENCODER_DECODERS: dict[str, dict[str, Any]] = {
    name: {
        "num_hidden_layers": layers,
        "num_decoder_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "type_vocab_size": 0,
        "hidden_act": "relu",
        "position_embedding": "sinusoidal",
        "has_embedding_layer_norm": False,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": round(hidden**-0.5, 4),
        "layer_norm_eps": 1e-6,
    }
    for name, layers, hidden, heads, intermediate, dropout in (
        ("transformer_tiny", 4, 128, 4, 256, 0.1),
        ("transformer_base", 6, 512, 8, 2048, 0.1),
        ("transformer_big", 6, 1024, 16, 4096, 0.3),
    )
}
"""Vaswani et al. 2017, table 3 (base, big); decision 27 says why these initial values."""

MODEL_SIZES = _OF_ENCODERS | _OF_ENCODER_DECODERS
"""What `model.size` sets."""


class ModelConfig(Section):
    """The architecture, in the names of Google's `bert_config.json`; BERT's by default.

    With `num_decoder_layers` a decoder follows, whose layers are of the encoder's sizes.
    """

    size: (
        Literal[
            "tiny",
            "mini",
            "small",
            "medium",
            "base",
            "large",
            "transformer_tiny",
            "transformer_base",
            "transformer_big",
        ]
        | None
    ) = None
    """Sets what is not given of the numbers below, and of a `transformer_` size all that makes it
    the Transformer of Vaswani et al. 2017. Without it they default to base."""
    num_hidden_layers: pydantic.PositiveInt = 12
    num_decoder_layers: pydantic.NonNegativeInt = 0
    """0: an encoder alone."""
    hidden_size: pydantic.PositiveInt = 768
    num_attention_heads: pydantic.PositiveInt = 12
    intermediate_size: pydantic.PositiveInt = 3072
    vocab_size: pydantic.PositiveInt | None = None
    """Default: the vocabulary's size."""
    target_vocab_size: pydantic.PositiveInt | None = None
    """Of the decoder, where it has a vocabulary of its own. Default: vocab_size."""
    max_position_embeddings: pydantic.PositiveInt = 512
    type_vocab_size: pydantic.NonNegativeInt = 2
    """0: no segment embeddings. A decoder never has them."""
    hidden_act: Literal["gelu", "gelu_exact", "relu"] = "gelu"
    """`gelu` is Google's tanh approximation; `gelu_exact` uses the error function."""
    norm_first: bool = False
    """LayerNorm before attention and feed-forward network (pre-LN) instead of after (post-LN)."""
    position_embedding: Literal["learned", "sinusoidal"] = "learned"
    """`sinusoidal` positions have no weights; max_position_embeddings stays the limit."""
    scale_embeddings: bool | None = None
    """Token and segment embeddings times sqrt(hidden_size). Default: with sinusoidal positions."""
    has_embedding_layer_norm: bool = True
    """LayerNorm on the sum of the embeddings."""
    share_embeddings: bool = True
    """Encoder and decoder have one table of token embeddings."""
    tie_output: bool = True
    """The decoder's table of token embeddings is the matrix of its output, too."""
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

    @pydantic.model_validator(mode="after")
    def _one_table_has_one_vocabulary(self) -> Self:
        if self.share_embeddings and self.target_vocab_size not in (None, self.vocab_size):
            raise ValueError(
                "share_embeddings must be false with a target_vocab_size of its own. Received: "
                f"vocab_size={self.vocab_size}, target_vocab_size={self.target_vocab_size}. "
                "Set share_embeddings=false, or leave target_vocab_size out."
            )
        return self

    @property
    def scales_embeddings(self) -> bool:
        """Whether token and segment embeddings are multiplied by sqrt(hidden_size)."""
        if self.scale_embeddings is None:
            return self.position_embedding == "sinusoidal"
        return self.scale_embeddings

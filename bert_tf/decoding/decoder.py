"""What a search needs of a decoder, and the token ids with a meaning of their own."""

from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf


class CachedDecoder(Protocol):
    """A decoder that computes one token after the other and keeps what it computed.

    Texts that are done leave the batch: B of a later step may be smaller, and `memory` and `cache`
    are those of the texts that are left.
    """

    def begin(self, inputs: Any) -> tuple[Any, Any]:
        """What the decoder reads, and an empty cache.

        Returns:
            memory: a nest of tensors (B, ...), of each text the same at every step.
            cache: a nest of tensors (B, 1, 0, ...), whose dimensions after the third are known.
        """

    def step(
        self, ids: tf.Tensor, position: tf.Tensor, memory: Any, cache: Any
    ) -> tuple[tf.Tensor, Any]:
        """The logits of the next token.

        Args:
            ids: int32 (B, H), the newest token of each hypothesis.
            position: int32 scalar, the place of these tokens; 0 is that of the start token.
            memory: as `begin` returned it, of these texts.
            cache: tensors (B, H, `position`, ...).

        Returns:
            logits: (B, H, V) of any floating type, V known.
            cache: longer by one along the third dimension.
        """


@dataclass(frozen=True)
class SpecialTokens:
    """Token ids that a search knows."""

    start_id: int
    end_id: int
    pad_id: int
    """Fills answers up. It may be any token, the end token too."""
    forbidden_ids: tuple[int, ...] = ()
    """Tokens that no answer has, such as [MASK]."""

    def __post_init__(self) -> None:
        if self.end_id in self.forbidden_ids:
            raise ValueError(
                f"forbidden_ids must not have end_id, without which no answer ends. Received: "
                f"{self.end_id} as both. Leave it out."
            )

    def check_vocabulary(self, vocab_size: int) -> None:
        """All ids must be below `vocab_size`, the last dimension of the decoder's logits.

        Raises:
            ValueError: one is not.
        """
        ids = (self.start_id, self.end_id, self.pad_id, *self.forbidden_ids)
        outside = sorted({token for token in ids if not 0 <= token < vocab_size})
        if outside:
            raise ValueError(
                f"Special tokens must be from 0 to {vocab_size - 1}, the decoder's vocabulary. "
                f"Received: {outside}. Take them from the tokenizer that the decoder has."
            )

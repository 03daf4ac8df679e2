"""The Transformer: source token ids and the target's so far in, scores of its next token out."""

from typing import Any

import keras
from keras import ops

from bert_tf.config import ModelConfig
from bert_tf.layers.attention import padding_mask
from bert_tf.layers.projection import matmul
from bert_tf.models.bert import ENCODER_INPUTS, ModelWithEncoder
from bert_tf.models.decoder import TransformerDecoder, target_vocab_size

DECODER_INPUT = "decoder_input_ids"


class EncoderDecoder(ModelWithEncoder):
    """Encoder, decoder, and the product with a token table that scores the target's vocabulary.

    Inputs: the encoder's (see `BertEncoder`), rows of one sequence; `decoder_input_ids`, int32
    (batch, target length): the start token, then the target's tokens but for the last.
    Output: logits (batch, target length, vocabulary), float32: at position i the scores of target
    token i, given those before it (teacher forcing), all positions in one pass. Padding at the end
    of a target needs no mask: no earlier position sees it, and its weight in the loss is 0.

    `begin` and `step` give the same logits token by token (see `bert_tf.decoding`).

    Source: Vaswani et al. 2017, section 3; embeddings shared with the output: section 3.4.
    """

    _has_decoder = True

    def __init__(self, config: ModelConfig, *, has_pooler: bool = False, **kwargs: Any):
        super().__init__(
            config, has_pooler=has_pooler, **{"name": "sequence_to_sequence", **kwargs}
        )
        if has_pooler:
            raise ValueError(
                "has_pooler must be false in an EncoderDecoder, which reads no pooled output. "
                "Received: has_pooler=True. Leave it out."
            )
        policy = self.dtype_policy
        self.decoder = TransformerDecoder(
            config,
            word_embeddings=(
                self.encoder.embeddings.word_embeddings if config.share_embeddings else None
            ),
            rematerialize=self.encoder.rematerialize,
            name="decoder",
            dtype=policy,
        )
        self.output_embeddings = self.decoder.embeddings.word_embeddings
        if not config.tie_output:
            self.output_embeddings = keras.layers.Embedding(
                target_vocab_size(config),
                config.hidden_size,
                embeddings_initializer=keras.initializers.TruncatedNormal(
                    stddev=config.initializer_range
                ),
                name="output",
                dtype=policy,
            )

    def build(self, inputs_shape):
        ids, hidden = (None, None), (None, None, self.config.hidden_size)
        self.encoder.build(dict.fromkeys(ENCODER_INPUTS, ids))
        self.decoder.build(ids, hidden)
        if not self.output_embeddings.built:
            self.output_embeddings.build(ids)

    def call(self, inputs, training=False):
        memory = self.encoder(inputs, training=training)["sequence_output"]
        hidden = self.decoder(
            inputs[DECODER_INPUT],
            memory,
            memory_mask=padding_mask(inputs["input_mask"]),
            training=training,
        )
        return self._logits(hidden)

    def begin(self, inputs):
        """Encodes the source; `inputs` are the encoder's.

        Returns (memory, cache). Memory, a nest of tensors (batch, …), is the same in all steps:
        cross-attention's keys and values, and the source's mask. Cache, a nest of tensors
        (batch, 1, 0, …): self-attention's keys and values of no position. Before the first step
        repeat its second axis to the number of hypotheses; reorder that axis with them.
        """
        heads, cache = self.decoder.begin(self.encoder(inputs)["sequence_output"])
        return {"heads": heads, "mask": padding_mask(inputs["input_mask"])}, cache

    def step(self, ids, position, memory, cache):
        """Scores of the next token of each hypothesis, from what is cached of those before.

        Args:
            ids: int32 (batch, hypotheses), the newest token of each.
            position: int32 scalar, its place; 0 is the start token.
            memory, cache: of `begin`, and of the step before.

        Returns logits (batch, hypotheses, vocabulary), float32, and the cache, tensors (batch,
        hypotheses, position + 1, …). The memory is not repeated by hypotheses: they ask it as
        positions of one sequence do.
        """
        hidden, cache = self.decoder.step(ids, position, memory["heads"], cache, memory["mask"])
        return self._logits(hidden), cache

    def _logits(self, hidden):
        with keras.name_scope("output"):  # by which the profiler tells it apart
            table = ops.cast(self.output_embeddings.embeddings, self.compute_dtype)
            # One product, not one a sequence.
            rows = ops.reshape(hidden, (-1, self.config.hidden_size))
            logits = ops.cast(matmul(rows, table, transpose_b=True), "float32")
            return ops.reshape(logits, (*ops.shape(hidden)[:2], target_vocab_size(self.config)))

"""The search that a configuration names."""

from typing import Any

import tensorflow as tf

from bert_tf.config.decoding import DecodingConfig
from bert_tf.decoding.answers import DecodedAnswers
from bert_tf.decoding.beam import BeamSearch
from bert_tf.decoding.cache import check_memory
from bert_tf.decoding.decoder import CachedDecoder, SpecialTokens
from bert_tf.decoding.length_penalty import length_penalties
from bert_tf.decoding.row_settings import RowSettings, fill_in
from bert_tf.decoding.rules import Rules
from bert_tf.decoding.sampling import Sampler
from bert_tf.decoding.stepwise import Choose, StepwiseSearch, likeliest


def search(
    decoder: CachedDecoder,
    inputs: Any,
    *,
    config: DecodingConfig,
    tokens: SpecialTokens,
    rows: RowSettings | None = None,
) -> DecodedAnswers:
    """The answers of each text: graph code, for a `tf.function` that is traced or exported.

    On a CPU a text's answers are the same bits in any batch and at any place of it, as far as the
    decoder's logits are. A text ends by itself. Of an empty batch the answers are empty.

    Args:
        decoder: the model.
        inputs: what its `begin` takes, B texts.
        config: the method, its numbers and the lengths.
        tokens: of the decoder's vocabulary.
        rows: what each text has for itself.

    Raises:
        ValueError: the configuration does not fit the decoder, its vocabulary or `rows`.
    """
    memory, cache = decoder.begin(inputs)
    check_memory(cache, config)
    rows = rows or RowSettings()
    batch_size = tf.shape(tf.nest.flatten((cache, memory))[0])[0]
    filled = fill_in(rows, config=config, batch_size=batch_size)
    common: dict[str, Any] = {
        "decoder": decoder,
        "rules": Rules.of(config, tokens),
        "penalties": length_penalties(config.length_penalty, max_length=config.max_length),
        "max_length": config.max_length,
        "num_answers": config.num_answers,
    }
    if config.method == "beam" and config.beam_size > 1:
        beam = BeamSearch(beam_size=config.beam_size, ends_early=config.ends_early, **common)
        return beam.run(memory, cache, filled)
    choose: Choose = likeliest
    if config.method == "sample":
        choose = Sampler.of(config, rows).draw
    return StepwiseSearch(choose=choose, **common).run(memory, cache, filled)

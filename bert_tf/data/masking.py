"""Token ids in, masked token ids and what to predict out, in the graph.

input_ids [[CLS, 7, 8, 9, SEP, 0]], one prediction, position 2 drawn, replaced by [MASK]:
input_ids [[CLS, 7, MASK, 9, SEP, 0]]
masked_lm_positions [[2, 0]], masked_lm_ids [[8, 0]], masked_lm_weights [[1., 0.]]
"""

from collections.abc import Sequence

import tensorflow as tf

from bert_tf.config import MaskingConfig


def mask_tokens(
    input_ids: tf.Tensor,
    input_mask: tf.Tensor,
    *,
    config: MaskingConfig,
    seed: tf.Tensor,
    vocab_size: int,
    special_ids: Sequence[int],
    mask_id: int,
) -> dict[str, tf.Tensor]:
    """Choose tokens to predict and replace them: a pure function of its arguments.

    In a sequence of n tokens, [CLS] and [SEP] counted, min(P, max(1, round(n * masked_lm_prob)))
    are chosen with equal chances among those not in `special_ids`. Each becomes [MASK], a token
    drawn from the whole vocabulary, or stays, by `mask_share` and `random_share`.

    `input_ids`, `input_mask`: int32, (B, T). `seed`: int32 or int64, (2).
    Result: `input_ids` int32 (B, T); `masked_lm_positions`, ascending, and `masked_lm_ids`, int32
    (B, P); `masked_lm_weights` float32 (B, P). Unused slots are 0 with weight 0.

    Source: Devlin et al. 2019, section 3.1; google-research/bert, create_pretraining_data.py.
    """
    score_seed, coin_seed, token_seed = tf.unstack(tf.random.split(seed, num=3))
    positions, weights = _choose(
        input_ids, input_mask, config=config, seed=score_seed, special_ids=special_ids
    )
    original = tf.gather(input_ids, positions, batch_dims=1)
    shape = tf.shape(positions)
    coin = tf.random.stateless_uniform(shape, seed=coin_seed)
    random_ids = tf.random.stateless_uniform(
        shape, seed=token_seed, minval=0, maxval=vocab_size, dtype=tf.int32
    )
    replaced = tf.where(coin < config.mask_share + config.random_share, random_ids, original)
    replaced = tf.where(coin < config.mask_share, mask_id, replaced)
    used = tf.cast(weights, tf.int32)
    rows = tf.broadcast_to(tf.range(shape[0])[:, tf.newaxis], shape)
    # Adding differences: unused slots all point at position 0 and must leave it alone.
    masked = tf.tensor_scatter_nd_add(
        input_ids, tf.stack([rows, positions], axis=-1), (replaced - original) * used
    )
    return {
        "input_ids": masked,
        "masked_lm_positions": positions * used,
        "masked_lm_ids": original * used,
        "masked_lm_weights": weights,
    }


def _choose(
    input_ids: tf.Tensor,
    input_mask: tf.Tensor,
    *,
    config: MaskingConfig,
    seed: tf.Tensor,
    special_ids: Sequence[int],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions int32 (B, P), ascending with unused ones last as 0, and weights float32 (B, P)."""
    num_slots = config.max_predictions_per_seq
    length = tf.shape(input_ids)[1]
    is_candidate = tf.cast(input_mask, tf.bool)
    for special_id in special_ids:
        is_candidate &= tf.not_equal(input_ids, special_id)
    scores = tf.random.stateless_uniform(tf.shape(input_ids), seed=seed)
    scores = tf.where(is_candidate, scores, -1.0)  # [B, T]
    _, positions = tf.math.top_k(scores, k=tf.minimum(num_slots, length))  # [B, min(P, T)]
    num_chosen = _num_predictions(input_mask, config=config)
    num_chosen = tf.minimum(num_chosen, tf.reduce_sum(tf.cast(is_candidate, tf.int32), axis=1))
    is_used = tf.range(tf.shape(positions)[1]) < num_chosen[:, tf.newaxis]
    positions = tf.sort(tf.where(is_used, positions, length), axis=1)
    positions = tf.pad(positions, [[0, 0], [0, num_slots - tf.shape(positions)[1]]])
    positions = tf.ensure_shape(positions, [None, num_slots])
    weights = tf.sequence_mask(num_chosen, num_slots)
    return tf.where(weights, positions, 0), tf.cast(weights, tf.float32)


def _num_predictions(input_mask: tf.Tensor, *, config: MaskingConfig) -> tf.Tensor:
    # float64 and half to even: what Google's script gives under Python 3.
    lengths = tf.cast(tf.reduce_sum(input_mask, axis=1), tf.float64)
    wanted = tf.cast(tf.round(lengths * config.masked_lm_prob), tf.int32)
    return tf.minimum(config.max_predictions_per_seq, tf.maximum(1, wanted))

"""Losses of embeddings, and the objective made of them: what is minimised over a whole batch.

Letters in shapes: N examples, T texts an example (anchor, positive, negatives), W width.

A loss here is no sum over examples: each text is compared with those of others. So it is a function
of the embeddings of the whole global batch, whatever that is split into (`WholeBatchObjective`).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import tensorflow as tf

from bert_tf.models.objective import Batch, Objective, Sums

TERM = "embedding"


@runtime_checkable
class WholeBatchObjective(Objective, Protocol):
    """An objective whose loss needs what the model says of all examples of a batch at once."""

    def representations(self, outputs: Any) -> tf.Tensor:
        """What is compared, float32 (examples, ...), of the model's outputs."""
        ...

    def targets(self, batch: Batch) -> dict[str, tf.Tensor]:
        """What the loss reads of a batch beside it, (examples, ...)."""
        ...

    def of_whole_batch(self, representations: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> Sums:
        """The sums of a batch."""
        ...


class Compared(NamedTuple):
    """The embeddings of a batch and what is known of its texts."""

    embeddings: tf.Tensor
    """float32 (N, T, W)."""
    weights: tf.Tensor
    """float32 (N): 0 of rows that fill a batch up."""
    text_ids: tf.Tensor
    """int32 (N, T): equal texts have equal numbers; -1 where an example has none."""
    scores: tf.Tensor | None
    """float32 (N): how alike the first two texts are."""
    teacher: tf.Tensor | None
    """float32 (N, teacher's width): the first text's embedding by another model."""


Loss = Callable[[Compared], tuple[tf.Tensor, tf.Tensor | None]]
"""The mean loss of the examples, a scalar, and the share of right answers where there are some."""


class EmbeddingObjective:
    """A loss of embeddings.

    Reads of a batch `weights` and `text_ids`, and `scores` or `teacher` if the loss does; see
    `Compared`.

    Args:
        loss: such as `ranking()`.
        held_out: in its place in evaluation, where examples may be of another form.
        dimensions: how many of the first numbers -> weight: the loss is the weighted sum of that of
            the embeddings cut to so many (Kusupati et al. 2022, "Matryoshka"). None: all of them.
    """

    def __init__(
        self,
        loss: Loss,
        *,
        held_out: Loss | None = None,
        dimensions: Mapping[int, float] | None = None,
    ) -> None:
        self._loss, self._held_out, self._dimensions = loss, held_out, dimensions

    @property
    def measured(self) -> "EmbeddingObjective":
        """What evaluation measures: that of the whole embeddings."""
        return EmbeddingObjective(self._held_out or self._loss)

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {TERM: tf.reduce_sum(batch["weights"])}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        return self.of_whole_batch(self.representations(outputs), self.targets(batch))

    def representations(self, outputs: Any) -> tf.Tensor:
        embeddings: tf.Tensor = outputs["embedding"]
        return embeddings

    def targets(self, batch: Batch) -> dict[str, tf.Tensor]:
        names = ("weights", "text_ids", "scores", "teacher")
        return {name: batch[name] for name in names if name in batch}

    def of_whole_batch(self, representations: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> Sums:
        with tf.name_scope("loss"):  # by which the profiler tells it apart
            compared = Compared(
                representations,
                targets["weights"],
                targets["text_ids"],
                targets.get("scores"),
                targets.get("teacher"),
            )
            loss, correct = self._loss(compared)
            if self._dimensions is not None:
                loss = tf.add_n(
                    [
                        weight * self._loss(_cut(compared, width))[0]
                        for width, weight in self._dimensions.items()
                    ]
                )
            count = tf.reduce_sum(compared.weights)
            return Sums(
                loss={TERM: loss * count},
                correct={} if correct is None else {TERM: correct * count},
            )


def _cut(compared: Compared, width: int) -> Compared:
    """With the first numbers of each embedding, as they are compared: of length 1."""
    embeddings = tf.math.l2_normalize(compared.embeddings[..., :width], axis=-1)
    teacher = None if compared.teacher is None else compared.teacher[..., :width]
    return compared._replace(embeddings=embeddings, teacher=teacher)


def ranking(*, scale: float = 20.0, is_symmetric: bool = False) -> Loss:
    """Cross-entropy of each anchor's positive among the positives and negatives of all examples.

    Their scores are cosines times `scale`. What is no negative is left out: a candidate with the
    text of the positive or of the anchor, the positive of another example with the same anchor,
    and what is missing. `is_symmetric`: the mean with the cross-entropy of each positive's anchor
    among all anchors.

    Source: Henderson et al. 2017, section 4.4; van den Oord et al. 2018; with two dropout draws of
    one text Gao et al. 2021 (SimCSE).
    """

    def loss(compared: Compared) -> tuple[tf.Tensor, tf.Tensor]:
        scores, is_own = _candidate_scores(compared, scale=scale)
        losses = tf.reduce_logsumexp(scores, axis=1) - tf.boolean_mask(scores, is_own)
        best = tf.reduce_max(scores, axis=1)
        is_right = tf.cast(tf.boolean_mask(scores, is_own) >= best, tf.float32)
        if is_symmetric:
            is_filler = (compared.weights <= 0)[:, tf.newaxis] & ~is_own
            scores = tf.where(is_filler, scores.dtype.min, scores)
            of_anchors = tf.transpose(scores[:, : tf.shape(scores)[0]])
            of_positives = tf.reduce_logsumexp(of_anchors, axis=1) - tf.linalg.diag_part(of_anchors)
            losses = (losses + of_positives) / 2.0
        return _mean(losses, compared.weights), _mean(is_right, compared.weights)

    return loss


def _candidate_scores(compared: Compared, *, scale: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosines times `scale`, (N, candidates), and which candidate is the anchor's own, bool.

    Candidates are the positives of all examples, then their first negatives, and so on.
    """
    embeddings = tf.math.l2_normalize(compared.embeddings, axis=-1)
    num_examples, num_texts = tf.unstack(tf.shape(compared.text_ids))
    examples = tf.range(num_examples)
    candidates = tf.transpose(embeddings[:, 1:], [1, 0, 2])  # (T - 1, N, W)
    candidates = tf.reshape(candidates, [-1, tf.shape(embeddings)[2]])
    ids = tf.reshape(tf.transpose(compared.text_ids[:, 1:]), [-1])
    owners = tf.tile(examples, [num_texts - 1])
    is_positive = tf.range(tf.size(ids)) < num_examples
    is_own = is_positive & (owners == examples[:, tf.newaxis])
    anchors, positives = compared.text_ids[:, :1], compared.text_ids[:, 1:2]
    is_of_same_anchor = is_positive & (tf.gather(compared.text_ids[:, 0], owners) == anchors)
    is_missing = (ids < 0) | (tf.gather(compared.weights, owners) <= 0)
    is_none = (ids == positives) | (ids == anchors) | is_of_same_anchor | is_missing
    scores = scale * tf.matmul(embeddings[:, 0], candidates, transpose_b=True)
    return tf.where(is_none & ~is_own, scores.dtype.min, scores), is_own


def cosent(*, scale: float = 20.0) -> Loss:
    """log(1 + sum of exp(scale * (cosine of j - cosine of i))) over all i scored higher than j.

    Source: Su 2022, "CoSENT"; as of sentence-transformers' `CoSENTLoss`.
    """

    def loss(compared: Compared) -> tuple[tf.Tensor, None]:
        cosines = scale * _cosines(compared)
        scores = _required(compared.scores, "scores")
        is_real = compared.weights > 0
        is_wrong_way = scores[:, tf.newaxis] < scores[tf.newaxis, :]
        is_wrong_way &= is_real[:, tf.newaxis] & is_real[tf.newaxis, :]
        differences = cosines[:, tf.newaxis] - cosines[tf.newaxis, :]
        terms = tf.where(is_wrong_way, differences, differences.dtype.min)
        return tf.reduce_logsumexp(tf.concat([[0.0], tf.reshape(terms, [-1])], 0)), None

    return loss


def cosine() -> Loss:
    """Mean squared difference of the cosine and the score.

    Source: Reimers and Gurevych 2019, section 3 (regression objective).
    """

    def loss(compared: Compared) -> tuple[tf.Tensor, None]:
        errors = tf.math.squared_difference(
            _cosines(compared), _required(compared.scores, "scores")
        )
        return _mean(errors, compared.weights), None

    return loss


def triplet(*, margin: float = 5.0, distance: str = "euclidean") -> Loss:
    """max(0, distance to the positive - distance to the negative + margin).

    `distance`: `euclidean`, or `cosine`, 1 - cosine. Right is what is nearer to the positive.

    Source: Reimers and Gurevych 2019, section 3 (triplet objective).
    """

    def loss(compared: Compared) -> tuple[tf.Tensor, tf.Tensor]:
        embeddings = compared.embeddings
        if distance == "cosine":
            embeddings = tf.math.l2_normalize(embeddings, axis=-1)
        anchor, positive, negative = embeddings[:, 0], embeddings[:, 1], embeddings[:, 2]
        measure = _euclidean if distance == "euclidean" else _one_minus_product
        to_positive, to_negative = measure(anchor, positive), measure(anchor, negative)
        is_right = tf.cast(to_positive < to_negative, tf.float32)
        losses = tf.nn.relu(to_positive - to_negative + margin)
        return _mean(losses, compared.weights), _mean(is_right, compared.weights)

    return loss


def distillation() -> Loss:
    """Mean squared difference of the first text's embedding and the teacher's, a number at a time.

    Source: Reimers and Gurevych 2020, section 2.
    """

    def loss(compared: Compared) -> tuple[tf.Tensor, None]:
        teacher = _required(compared.teacher, "teacher")
        errors = tf.math.squared_difference(compared.embeddings[:, 0], teacher)
        return _mean(tf.reduce_mean(errors, axis=-1), compared.weights), None

    return loss


def fitting(*, scale: float = 20.0) -> Loss:
    """Of scored pairs `cosent`, of others `ranking`: the losses of held-out examples."""
    of_scores, of_pairs = cosent(scale=scale), ranking(scale=scale)
    return lambda compared: (of_pairs if compared.scores is None else of_scores)(compared)


def _cosines(compared: Compared) -> tf.Tensor:
    """Of the first two texts, (N)."""
    embeddings = tf.math.l2_normalize(compared.embeddings, axis=-1)
    return tf.reduce_sum(embeddings[:, 0] * embeddings[:, 1], axis=-1)


def _euclidean(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    # The small number is PyTorch's `pairwise_distance`, and keeps the root's slope finite.
    return tf.norm(x - y + 1e-6, axis=-1)


def _one_minus_product(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return 1.0 - tf.reduce_sum(x * y, axis=-1)


def _mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def _required(values: tf.Tensor | None, name: str) -> tf.Tensor:
    if values is None:
        raise ValueError(f"The loss needs {name} in its batches. Received: none. Give some.")
    return values

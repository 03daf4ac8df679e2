"""Losses of embeddings: written out in loops, and beside sentence-transformers' own."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.models import contrastive
from bert_tf.models.contrastive import EmbeddingObjective
from bert_tf.models.objective import measured

NUM_EXAMPLES, WIDTH = 7, 12


def embeddings_of(num_texts: int, *, seed: int = 0) -> np.ndarray:
    shape = (NUM_EXAMPLES, num_texts, WIDTH)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def batch_of(num_texts: int, **given) -> dict[str, np.ndarray]:
    """All texts differ; no row fills the batch up."""
    ids = np.arange(NUM_EXAMPLES * num_texts, dtype=np.int32).reshape(-1, num_texts)
    return {"text_ids": ids, "weights": np.ones(NUM_EXAMPLES, np.float32), **given}


def scores(seed: int = 3) -> np.ndarray:
    """With equal ones among them."""
    drawn = np.random.default_rng(seed).integers(0, 5, NUM_EXAMPLES)
    return (drawn / 4).astype(np.float32)


def loss_and_gradient(objective, embeddings, batch):
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    given = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(given)
        sums = objective.sums({"embedding": given}, tensors)
        loss = sums.loss["embedding"] / objective.weights(tensors)["embedding"]
    return float(loss), tape.gradient(loss, given).numpy(), sums


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def ranking_in_loops(embeddings, ids, *, scale, is_negative) -> float:
    """Of each anchor its own positive among all candidates that are negatives of it."""
    losses = []
    for row, anchor in enumerate(embeddings[:, 0]):
        own = scale * cosine(anchor, embeddings[row, 1])
        others = [
            scale * cosine(anchor, embeddings[other, column])
            for other in range(len(embeddings))
            for column in range(1, embeddings.shape[1])
            if (other, column) != (row, 1) and is_negative(row, other, column)
        ]
        losses.append(np.log(np.exp([own, *others]).sum()) - own)
    return float(np.mean(losses))


@pytest.mark.parametrize("num_texts", [2, 4])
def test_ranking_is_the_cross_entropy_among_all_candidates(num_texts):
    embeddings, batch = embeddings_of(num_texts), batch_of(num_texts)
    found, _, sums = loss_and_gradient(
        EmbeddingObjective(contrastive.ranking(scale=5.0)), embeddings, batch
    )
    wanted = ranking_in_loops(
        embeddings, batch["text_ids"], scale=5.0, is_negative=lambda *places: True
    )
    assert found == pytest.approx(wanted, rel=1e-5)
    assert 0 <= float(sums.correct["embedding"]) <= NUM_EXAMPLES


def test_what_is_no_negative_is_left_out():
    embeddings, batch = embeddings_of(3), batch_of(3)
    ids = batch["text_ids"]
    ids[1, 1] = ids[0, 1]  # one passage answers two queries
    ids[2, 0] = ids[3, 0]  # one query has two passages
    ids[4, 2] = ids[5, 0]  # a query is another's negative
    ids[6, 2] = -1  # missing

    def is_negative(row, other, column):
        text = ids[other, column]
        is_of_same_query = column == 1 and ids[other, 0] == ids[row, 0]
        return text >= 0 and text not in (ids[row, 1], ids[row, 0]) and not is_of_same_query

    objective = EmbeddingObjective(contrastive.ranking(scale=5.0))
    found, gradient, _ = loss_and_gradient(objective, embeddings, batch)
    wanted = ranking_in_loops(embeddings, ids, scale=5.0, is_negative=is_negative)
    everything = ranking_in_loops(embeddings, ids, scale=5.0, is_negative=lambda *places: True)
    assert found == pytest.approx(wanted, rel=1e-5)
    assert abs(wanted - everything) > 1e-3
    assert not gradient[6, 2].any()
    assert np.isfinite(gradient).all()


LOSSES = {
    "ranking": (2, contrastive.ranking()),
    "symmetric": (3, contrastive.ranking(is_symmetric=True)),
    "cosent": (2, contrastive.cosent()),
    "cosine": (2, contrastive.cosine()),
    "triplet": (3, contrastive.triplet()),
    "distillation": (1, contrastive.distillation()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_fill_a_batch_up_count_for_nothing(name):
    num_texts, loss = LOSSES[name]
    objective = EmbeddingObjective(loss)
    given = {"scores": scores(), "teacher": embeddings_of(1, seed=5)[:, 0]}
    batch, embeddings = batch_of(num_texts, **given), embeddings_of(num_texts)
    wanted, gradient, _ = loss_and_gradient(objective, embeddings, batch)
    filled = {key: np.concatenate([value, value[:2]]) for key, value in batch.items()}
    filled["weights"][-2:] = 0.0
    filled["text_ids"][-2:] += 1000
    found, of_filled, _ = loss_and_gradient(
        objective, np.concatenate([embeddings, embeddings[2:4]]), filled
    )
    assert found == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(of_filled[:-2], gradient, atol=1e-6)
    assert not of_filled[-2:].any()


def test_cosent_counts_each_pair_of_pairs_in_the_wrong_order():
    embeddings, given = embeddings_of(2), scores()
    cosines = [cosine(first, second) for first, second in embeddings]
    total = 1.0 + sum(
        np.exp(20.0 * (cosines[low] - cosines[high]))
        for low in range(NUM_EXAMPLES)
        for high in range(NUM_EXAMPLES)
        if given[high] > given[low]
    )
    objective = EmbeddingObjective(contrastive.cosent())
    found, _, _ = loss_and_gradient(objective, embeddings, batch_of(2, scores=given))
    assert found == pytest.approx(np.log(total), rel=1e-5)


def test_evaluation_measures_whole_embeddings_by_a_loss_of_its_examples():
    cut = EmbeddingObjective(
        contrastive.ranking(), held_out=contrastive.fitting(), dimensions={4: 1.0}
    )
    batch, embeddings = batch_of(2, scores=scores()), embeddings_of(2)
    found, _, _ = loss_and_gradient(measured(cut), embeddings, batch)
    wanted, _, _ = loss_and_gradient(EmbeddingObjective(contrastive.cosent()), embeddings, batch)
    assert found == wanted


def test_a_loss_without_what_it_reads_says_so():
    with pytest.raises(ValueError, match="needs scores in its batches"):
        loss_and_gradient(EmbeddingObjective(contrastive.cosine()), embeddings_of(2), batch_of(2))


def sentence_transformers_losses():
    from sentence_transformers.sentence_transformer import losses

    ranking = losses.MultipleNegativesRankingLoss
    return {
        "ranking": ranking(None),
        "symmetric": ranking(
            None,
            directions=("query_to_doc", "doc_to_query"),
            partition_mode="per_direction",
        ),
        "cosent": losses.CoSENTLoss(None),
        "cosine": losses.CosineSimilarityLoss(None),
        "triplet": losses.TripletLoss(None),
    }


@pytest.mark.parametrize("dimensions", [None, {12: 1.0, 8: 0.5, 3: 2.0}])
@pytest.mark.parametrize("name", ["ranking", "symmetric", "cosent", "cosine", "triplet"])
def test_loss_and_gradient_are_those_of_sentence_transformers(name, dimensions):
    pytest.importorskip("sentence_transformers", reason="needs the bench extra")
    import torch

    num_texts, loss = LOSSES[name]
    embeddings, labels = embeddings_of(num_texts), scores()
    reference = sentence_transformers_losses()[name]
    columns = [torch.tensor(embeddings[:, it], requires_grad=True) for it in range(num_texts)]

    def of_width(width: int) -> torch.Tensor:
        cut = [torch.nn.functional.normalize(it[:, :width], dim=-1) for it in columns]
        return reference.compute_loss_from_embeddings(cut, torch.tensor(labels))

    if dimensions is None:
        expected = reference.compute_loss_from_embeddings(columns, torch.tensor(labels))
    else:  # as its MatryoshkaLoss cuts and adds up
        expected = sum(weight * of_width(width) for width, weight in dimensions.items())
    expected.backward()
    objective = EmbeddingObjective(loss, dimensions=dimensions)
    found, gradient, _ = loss_and_gradient(
        objective, embeddings, batch_of(num_texts, scores=labels)
    )
    assert found == pytest.approx(float(expected.detach()), rel=1e-5)
    for column, reference_column in enumerate(columns):
        wanted = reference_column.grad.numpy()
        np.testing.assert_allclose(gradient[:, column], wanted, rtol=1e-4, atol=1e-5)

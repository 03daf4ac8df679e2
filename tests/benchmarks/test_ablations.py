"""The experiments on the notes' claims: their table, their variants, one of them run through."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.ablations import (
    dependencies,
    masked_lm,
    sequence_layers,
    softmax_gradient,
    teacher_forcing,
)
from benchmarks.ablations.__main__ import main
from benchmarks.ablations.experiment import MEASURES, Chart, Column, Experiment, Part
from benchmarks.ablations.experiments import EXPERIMENTS
from benchmarks.ablations.report import differences, summary
from benchmarks.ablations.rows import rows_of
from benchmarks.ablations.variants import UnscaledAttention
from bert_tf.config import OptimizerConfig
from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.training.optimizers import make_optimizer

SMALL = {"num_heads": 4, "hidden_size": 16, "length": 12, "vocab_size": 20}


def make_model(**changes):
    settings = masked_lm.BASE | SMALL | changes
    return masked_lm.make_model(settings, vocab_size=settings["vocab_size"], seed=3)


def scores_of(model, ids):
    batch = {
        "input_ids": ids,
        "input_mask": np.ones_like(ids),
        "segment_ids": np.zeros_like(ids),
        "masked_lm_positions": np.tile(np.arange(ids.shape[1], dtype=np.int32), (len(ids), 1)),
    }
    return np.asarray(model(batch)["masked_lm_logits"])


def random_ids(length=12):
    return np.random.default_rng(0).integers(5, 20, (2, length)).astype(np.int32)


# The table


def test_each_claim_has_an_experiment_and_each_variant_changes_what_there_is():
    assert list(EXPERIMENTS) == [
        *("additive", "scaling", "heads", "residual", "positions", "objective"),
        *("parallel", "teacher_forcing"),
    ]
    for experiment in EXPERIMENTS.values():
        assert experiment.claim, experiment.name
        assert experiment.sources, experiment.name
        for part in experiment.parts:
            _, base = MEASURES[part.measure]
            for variant in part.variants:
                assert part.reference_of(variant) in (None, *part.variants)
            all_settings = [json.dumps(part.settings(variant)) for variant in part.variants]
            assert len(set(all_settings)) == len(all_settings), f"{part.title}: two are the same"
            for changes in part.variants.values():
                assert set(changes) <= set(base), part.title


def test_what_two_experiments_share_is_measured_once():
    rows = rows_of(EXPERIMENTS.values(), seeds=[1, 2], is_quick=False)
    base = [row for row in rows if row.settings == masked_lm.BASE]
    assert [row.seed for row in base] == [1, 2]
    seeds = [row.seed for row in rows]
    assert seeds == sorted(seeds, key=lambda seed: seed or 9), "seed by seed, then those without"


def test_differences_are_between_runs_of_one_seed():
    rows = [{"seed": seed, "metrics": {"loss": loss}} for seed, loss in ((1, 3.0), (2, 5.0))]
    other = [{"seed": seed, "metrics": {"loss": loss}} for seed, loss in ((2, 4.5), (1, 2.5))]
    assert differences(other, rows, "loss") == {"mean": -0.5, "spread": 0.0}
    assert summary(rows)["loss"] == {"mean": 4.0, "spread": pytest.approx(math.sqrt(2.0))}
    assert differences([{"seed": 3, "metrics": {"loss": 1.0}}], rows, "loss") is None


# The variants


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": "additive"},
        {"attention": "unscaled"},
        {"has_residual": False},
        {"norm_first": True},
        {"positions": "none"},
        {"next_sentence": True},
        {"num_heads": 1},
    ],
)
def test_a_variant_begins_with_the_weights_that_it_shares(changes):
    base = {variable.path: variable.numpy() for variable in make_model().trainable_variables}
    variant = make_model(**changes)
    shared = {v.path for v in variant.trainable_variables} & set(base)
    assert len(shared) >= len(base) - 1
    for variable in variant.trainable_variables:
        if variable.path in shared:
            np.testing.assert_array_equal(variable.numpy(), base[variable.path])
    difference = np.abs(scores_of(variant, random_ids()) - scores_of(make_model(), random_ids()))
    make_optimizer(variant, config=OptimizerConfig(), num_steps=1)  # knows all weights there are
    # Pre-LN, another number of heads and all others compute something else with them.
    assert difference.max() > 1e-3 or "next_sentence" in changes


@pytest.mark.parametrize(("positions", "is_blind"), [("none", True), ("sinusoidal", False)])
def test_without_positions_the_order_of_tokens_changes_nothing(positions, is_blind):
    model, ids = make_model(positions=positions), random_ids()
    order = np.random.default_rng(1).permutation(12)
    difference = np.abs(scores_of(model, ids[:, order]) - scores_of(model, ids)[:, order]).max()
    assert (difference < 1e-5) == is_blind


def test_without_residuals_nothing_goes_around_a_sublayer():
    model = make_model(has_residual=False)
    for layer in model.encoder.transformer_layers:
        layer.output_projection.kernel.assign(np.zeros((64, 16), np.float32))
    outputs = scores_of(model, random_ids())
    np.testing.assert_allclose(outputs, np.broadcast_to(outputs[:1, :1], outputs.shape), atol=1e-6)


def test_unscaled_attention_is_attention_to_longer_queries():
    settings = {"num_heads": 4, "dropout_rate": 0.0, "initializer_range": 0.3}
    plain, unscaled = MultiHeadAttention(16, **settings), UnscaledAttention(16, **settings)
    x = np.random.default_rng(0).standard_normal((2, 5, 16)).astype(np.float32)
    for layer in (plain, unscaled):
        layer.build(x.shape)
    unscaled.set_weights(plain.get_weights())
    kernel = plain.query_key_value.kernel.numpy()
    kernel[:, :16] /= 2.0  # the root of a head's size
    unscaled.query_key_value.kernel.assign(kernel)
    np.testing.assert_allclose(unscaled(x), plain(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["additive", "additive, recomputed"])
def test_additive_attention_is_that_of_keras(kind):
    layer = sequence_layers.make_layer(kind, width=8, num_heads=1)
    layer.build((2, 5, 8))
    x = tf.constant(np.random.default_rng(0).standard_normal((2, 5, 8)), tf.float32)
    query, key, value = tf.split(layer.query_key_value(x), 3, axis=-1)
    reference = keras.layers.AdditiveAttention(use_scale=True)
    reference.build([query.shape, value.shape, key.shape])
    reference.scale.assign(layer.score_kernel[0])
    expected = layer.output_projection(reference([query, value, key]))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_recomputed_scores_have_the_gradients_of_kept_ones():
    x = tf.constant(np.random.default_rng(0).standard_normal((2, 5, 8)), tf.float32)
    found = []
    for kind in ("additive", "additive, recomputed"):
        layer = sequence_layers.make_layer(kind, width=8, num_heads=2)
        layer.build(x.shape)
        rng = np.random.default_rng(1)
        for variable in layer.trainable_variables:
            variable.assign(rng.standard_normal(variable.shape))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        found.append(tape.gradient(loss, [v.value for v in layer.trainable_variables]))
    for kept, recomputed in zip(*found, strict=True):
        np.testing.assert_allclose(recomputed, kept, rtol=1e-4, atol=1e-4)


# What is measured without a training


def test_the_norm_of_the_softmax_jacobian_is_that_of_autodiff():
    scores = np.random.default_rng(0).standard_normal((3, 6))
    variable = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        weights = tf.nn.softmax(variable)
    expected = np.linalg.norm(tape.batch_jacobian(weights, variable), axis=(1, 2))
    found = softmax_gradient.jacobian_norms(softmax_gradient.softmax(scores))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_undivided_scores_of_long_vectors_leave_less_gradient(tmp_path):
    found = {
        (size, is_scaled): softmax_gradient.measure(
            {"head_size": size, "is_scaled": is_scaled}, seed=0, data=tmp_path, folder=tmp_path
        )
        for size in (16, 256)
        for is_scaled in (True, False)
    }
    for size in (16, 256):
        assert found[size, True]["score_deviation"] == pytest.approx(1.0, abs=0.1)
        assert found[size, False]["score_deviation"] == pytest.approx(size**0.5, rel=0.1)
    assert found[256, False]["gradient"] < found[16, False]["gradient"]
    assert found[256, False]["largest_weight"] > 0.8 > found[256, True]["largest_weight"]


@pytest.mark.parametrize(
    ("kind", "layers"),
    [("dot product", 1), ("LSTM", 1), ("convolution", 15), ("dilated convolution", 4)],
)
def test_layers_between_first_and_last_are_those_of_arithmetic(kind, layers):
    """Of 31 positions: kernels of 3 reach 2 back, dilated ones 2, 6, 14, 30."""
    assert dependencies.layers_to_first(kind, length=31) == layers


def test_only_an_lstm_has_longer_chains_for_longer_sequences():
    chains = {
        kind: [
            dependencies.longest_chain(dependencies.unrolled_layer(kind), length=length)
            for length in (2, 3, 4)
        ]
        for kind in ("dot product", "convolution", "LSTM")
    }
    for kind in ("dot product", "convolution"):
        assert len(set(chains[kind])) == 1, chains
    first, second, third = chains["LSTM"]
    assert second - first == third - second >= 4


def test_one_pass_and_one_by_one_give_the_same_loss_and_gradients(tmp_path):
    settings = teacher_forcing.BASE | {"length": 4, "batch_size": 2, "num_layers": 1, "rounds": 1}
    found = teacher_forcing.measure(settings, seed=0, data=tmp_path, folder=tmp_path)
    assert found["loss_difference"] < 1e-5
    assert found["gradient_difference"] < 1e-4


# The command


@pytest.fixture
def texts(tmp_path):
    """A folder of random texts in the layout of the data."""
    rng = np.random.default_rng(0)
    words = ["branch", "commit", "merge", "the", "of", "file", "tree", "is", "a", "new"]

    def document():
        return "\n".join(" ".join(rng.choice(words, 12)) + "." for _ in range(6))

    folder = tmp_path / "data"
    (folder / "progit").mkdir(parents=True)
    for number in range(60):
        (folder / "progit" / f"{number}.txt").write_text(document())
    articles = (f" = Article {number} = \n\n{document()}\n\n" for number in range(10))
    (folder / "wikitext2_valid.txt").write_text("".join(articles))
    return folder


SMALLEST = {"num_layers": 1, "hidden_size": 16, "num_heads": 2, "length": 16}
TRIAL = Experiment(
    "trial",
    "A claim.",
    "A source",
    (
        Part("Models", "masked_lm", {"small": SMALLEST}, (Column("loss", "loss"),)),
        Part(
            "Sizes",
            "softmax_gradient",
            {str(size): {"head_size": size} for size in (4, 16)},
            (Column("gradient", "norm"),),
            Chart(("gradient",), "norm", over="head_size"),
            reference="4",
        ),
    ),
)


def test_an_experiment_runs_through_and_goes_on_where_it_ended(
    texts, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(EXPERIMENTS, "trial", TRIAL)
    folder = tmp_path / "results"
    command = ["--data", str(texts), "--output-dir", str(folder), "--only", "trial"]
    command += ["--seeds", "1", "--quick"]
    main(command)
    models, sizes = json.loads((folder / "results.json").read_text())["tables"]
    assert 0.0 < models["rows"]["small"]["metrics"]["loss"]["mean"] < 10.0
    assert [len(row["measured"]) for row in sizes["rows"].values()] == [1, 1]
    page = (folder / "results.md").read_text()
    assert "no figure means anything" in page
    assert "|  | norm | difference from 4 | seeds |" in page
    assert (folder / "trial.png").stat().st_size > 1000

    finished = {path: path.stat().st_mtime_ns for path in (folder / "rows").iterdir()}
    gone = next(path for path in finished if path.name.startswith("softmax_gradient"))
    gone.unlink()
    capsys.readouterr()
    main(command)
    assert "3 rows, 2 of them finished" in capsys.readouterr().out
    for path, written_at in finished.items():
        assert (path.stat().st_mtime_ns == written_at) == (path != gone)


def test_an_unknown_experiment_is_refused_with_those_there_are(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--output-dir", str(tmp_path), "--only", "depth"])
    assert "additive, scaling" in capsys.readouterr().err

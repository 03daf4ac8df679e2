"""A search inside a SavedModel: the same answers after loading, from operations that are served."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import DecodingConfig
from bert_tf.decoding.answers import DecodedAnswers
from bert_tf.decoding.row_settings import RowSettings
from bert_tf.decoding.search import search
from bert_tf.exporting.graph_ops import GraphOps
from bert_tf.exporting.loading import read_graph
from bert_tf.exporting.serving_ops import serving_ops
from tests.decoding.history_model import INPUT, ROWS, TOKENS, HistoryModel, draw_inputs


def save(folder: Path, config: DecodingConfig, names: tuple[str, ...]) -> tf.Module:
    """A module with one signature of numbers, and in `folder` the same one saved."""
    # A vocabulary above that which is sorted whole.
    model = HistoryModel(vocab_size=140, max_length=8, seed=31, scale=0.5, end_bias=5.0)
    module = tf.Module()

    def serve(inputs: tf.Tensor, **rows: tf.Tensor) -> dict[str, tf.Tensor]:
        settings = RowSettings(**rows)
        faults = {f"fault_{at}": words for at, (_, words) in enumerate(settings.faults())}
        found = search(model, inputs, config=config, tokens=TOKENS, rows=settings)
        return found._asdict() | faults

    module.serve = tf.function(serve).get_concrete_function(
        tf.TensorSpec([None, INPUT], tf.float32, name="inputs"),
        **{name: tf.TensorSpec([None], ROWS[name], name=name) for name in names},
    )
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
    return module


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"method": "greedy", "max_extra_length": 3}, ("source_lengths", "is_refused")),
        ({"beam_size": 3, "num_answers": 2, "no_repeat_ngram_size": 2, "min_length": 1}, ()),
        (
            {"method": "sample", "num_answers": 2},
            ("is_refused", "seed", "temperature", "top_k", "top_p"),
        ),
        ({"method": "sample", "top_k": 5, "top_p": 0.9}, ("seed",)),
    ],
    ids=["greedy", "beam", "sample", "top_k"],
)
def test_a_saved_search_answers_the_same_with_served_operations(tmp_path, settings, names):
    module = save(tmp_path, DecodingConfig(max_length=8, **settings), names)
    used = GraphOps(read_graph(tmp_path))
    assert not set(used.names) - serving_ops()
    assert not used.compiled
    assert {"While", "StatelessWhile"} & set(used.names)
    loaded = tf.saved_model.load(tmp_path).signatures["serving_default"]
    values = {
        "source_lengths": [1, 2, 3],
        "is_refused": [False, True, False],
        "seed": [1, 2, 3],
        "temperature": [1.0, 0.5, 2.0],
        "top_k": [0, 130, 5],
        "top_p": [1.0, 1.0, 0.8],
    }
    inputs = {"inputs": tf.constant(draw_inputs(3, seed=31))}
    inputs |= {name: tf.constant(values[name], ROWS[name]) for name in names}
    expected, found = module.serve(**inputs), loaded(**inputs)
    assert set(DecodedAnswers._fields) <= set(found)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert found["is_found"].numpy()[0].all()


def test_every_setting_of_a_text_is_tried_here():
    assert [field.name for field in dataclasses.fields(RowSettings)] == list(ROWS)

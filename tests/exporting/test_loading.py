"""SavedModels that are damaged are refused with their path, whatever TensorFlow trips over."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.exporting.loading import load_saved_model, read_graph
from bert_tf.exporting.predict import predict_texts


class Lengths(tf.Module):
    """Answers the length of a text, by a weight and a table that is an asset."""

    def __init__(self, path):
        super().__init__()
        self.weight = tf.Variable(np.ones(2000, np.float32))
        self.asset = tf.saved_model.Asset(str(path))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def lengths(self, text):
        unit = tf.cast(self.weight[0], tf.int32)
        size = tf.strings.length(tf.io.read_file(self.asset))
        return {"length": unit * tf.strings.length(text) + size - len("a table")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "table.txt").write_text("a table")
    module = Lengths(folder / "table.txt")
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.lengths})
    return folder / "1"


def test_a_whole_one_answers(whole):
    assert predict_texts(whole, ["abc", ""]) == [{"length": 3}, {"length": 0}]


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


DAMAGES = {
    "cut variables": lambda folder: cut(folder / "variables/variables.data-00000-of-00001", 0.5),
    "no variables": lambda folder: cut(folder / "variables/variables.data-00000-of-00001", 0),
    "cut index": lambda folder: cut(folder / "variables/variables.index", 0.5),
    "no index": lambda folder: (folder / "variables/variables.index").unlink(),
    "no folder": lambda folder: shutil.rmtree(folder / "variables"),
    "half a graph": lambda folder: cut(folder / "saved_model.pb", 0.5),
    "most of a graph": lambda folder: cut(folder / "saved_model.pb", 0.99),
    "no graph": lambda folder: cut(folder / "saved_model.pb", 0),
    "text": lambda folder: (folder / "saved_model.pb").write_text("no graph"),
    "no asset": lambda folder: shutil.rmtree(folder / "assets"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_refused_with_its_path(name, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "1")
    DAMAGES[name](folder)
    with pytest.raises(ValueError, match=r"(/1: a SavedModel must be whole, and|signature must)"):
        predict_texts(folder, ["abc"])


def test_changed_weights_are_refused(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "1")
    path = folder / "variables/variables.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"/1: a SavedModel must be whole.*DataLossError"):
        load_saved_model(folder)


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_cut_graph_is_refused_by_those_who_read_it_alone(share, whole, tmp_path):
    assert "serving_default" in read_graph(whole).signature_def
    folder = shutil.copytree(whole, tmp_path / "1")
    cut(folder / "saved_model.pb", share)
    with pytest.raises(ValueError, match=r"/1/saved_model\.pb: must hold one graph with the tag"):
        read_graph(folder)

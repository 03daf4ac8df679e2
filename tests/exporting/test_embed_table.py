"""`bert-tf embed`: every text's vector in its row, whatever its length and its neighbours."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.exporting.embed_table import as_numbers, embed_table

WIDTH = 8
NUM_ROWS = 9_000
KILLED = """
import os, signal, sys
from bert_tf.exporting.embed_table import embed_table

def kill(stage, *rest):
    if stage == "embed":
        os.kill(os.getpid(), signal.SIGKILL)

embed_table(*sys.argv[1:4], text_field="t", on_progress=kill)
"""


def vector_of(text: str) -> np.ndarray:
    """What the model below says: counts of some letters, and the length."""
    counts = [text.count(letter) for letter in "abcdefg"]
    return np.array([*counts, len(text.encode())], np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    class Counter(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def embed(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            letters = tf.strings.bytes_split(text)
            counts = [
                tf.reduce_sum(tf.cast(letters == letter, tf.float32), axis=1)
                for letter in "abcdefg"
            ]
            lengths = tf.cast(tf.strings.length(text), tf.float32)
            return {"embedding": tf.stack([*counts, lengths], axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def ids(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"ids": tf.strings.length(text)}

    module = Counter()
    path = tmp_path_factory.mktemp("model") / "counter"
    signatures = {"serving_default": module.embed, "embed": module.embed, "tokenize": module.ids}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abcdefgh"), draw.integers(1, 30))) for _ in range(NUM_ROWS)]
    path = tmp_path_factory.mktemp("source") / "texts.csv"
    pd.DataFrame({"n": range(NUM_ROWS), "t": texts}).to_csv(path, index=False)
    return path


def test_each_row_has_its_own_vector_in_the_order_of_the_table(model, source, tmp_path):
    stages = []
    path = embed_table(
        model,
        str(source),
        tmp_path / "out.parquet",
        text_field="t",
        on_progress=lambda *event: stages.append(event),
    )
    frame = pd.read_parquet(path)
    assert frame["n"].tolist() == [str(row) for row in range(NUM_ROWS)]
    wanted = np.stack([vector_of(text) for text in frame["t"]])
    found = np.stack(frame["embedding"].to_list())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)
    assert [event[1] for event in stages if event[0] == "embed"] == [4096, 8192, NUM_ROWS]
    assert "rows/s" in stages[-1][3]


def test_a_killed_run_goes_on_to_the_same_file(model, source, tmp_path):
    out = tmp_path / "out.parquet"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(model), str(source), str(out)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not out.exists()
    done = []
    embed_table(
        model, str(source), out, text_field="t", on_progress=lambda *event: done.append(event)
    )
    assert next(event[1] for event in done if event[0] == "embed") == 8192
    embed_table(model, str(source), tmp_path / "whole.parquet", text_field="t")
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_lines_of_a_text_file_cut_and_in_fewer_bytes(model, tmp_path):
    (tmp_path / "texts.txt").write_text("aab\nccc\n", encoding="utf-8")
    run = ["embed", "--model", str(model), "--file", str(tmp_path / "texts.txt")]
    for name, more in (
        ("cut.parquet", ["--dimensions", "4"]),
        ("int8.parquet", ["--numbers", "int8"]),
        ("lines.jsonl", ["--normalize"]),
    ):
        result = CliRunner().invoke(main, [*run, "--output", str(tmp_path / name), *more])
        assert result.exit_code == 0, result.output
    cut = np.stack(pd.read_parquet(tmp_path / "cut.parquet")["embedding"].to_list())
    np.testing.assert_allclose(cut, [[2 / 5**0.5, 1 / 5**0.5, 0, 0], [0, 0, 1, 0]], atol=1e-6)
    rounded = np.stack(pd.read_parquet(tmp_path / "int8.parquet")["embedding"].to_list())
    assert rounded.dtype == np.int8
    assert rounded[0].tolist() == [85, 42, 0, 0, 0, 0, 0, 127]
    lines = pd.read_json(tmp_path / "lines.jsonl", lines=True)
    np.testing.assert_allclose(np.linalg.norm(lines["embedding"][1]), 1.0, atol=1e-6)


def test_fewer_bytes_keep_the_order_of_cosines():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 64)).astype(np.float32)
    wanted = vectors @ vectors.T / np.outer(*[np.linalg.norm(vectors, axis=1)] * 2)
    rounded = as_numbers(vectors, "int8").astype(np.float32)
    found = rounded @ rounded.T / np.outer(*[np.linalg.norm(rounded, axis=1)] * 2)
    assert np.abs(found - wanted).max() < 0.01
    bits = np.unpackbits(as_numbers(vectors, "binary"), axis=-1)
    np.testing.assert_array_equal(bits, vectors > 0)
    assert not as_numbers(np.zeros((1, 8), np.float32), "int8").any()


def test_what_does_not_fit_is_told(model, source, tmp_path):
    out = tmp_path / "out.parquet"
    with pytest.raises(ValueError, match="dimensions must be at most the embedding's, 8"):
        embed_table(model, str(source), out, text_field="t", dimensions=9)
    with pytest.raises(ValueError, match=r"tokenize must give an embedding. Received: ids"):
        embed_table(
            model, str(source), tmp_path / "b.parquet", text_field="t", signature_name="tokenize"
        )
    with pytest.raises(ValueError, match=r"must end in one of .csv, .jsonl, .parquet"):
        embed_table(model, str(source), tmp_path / "out.npy", text_field="t")

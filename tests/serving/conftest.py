"""Tiny SavedModels made with plain TensorFlow, and local servers on free loopback ports."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from serving.client.rest_client import RestClient
from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings


class TinyModel(tf.Module):
    """Signatures with the names, types and oddities that the tests ask about.

    `mark` comes back as the label, so that an answer tells which version gave it.
    """

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = tf.Variable(mark)
        self.weight = tf.Variable(0.1)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify_text(self, text):
        length = tf.cast(tf.strings.length(text, unit="UTF8_CHAR"), tf.float32)
        score = self.weight * length
        return {
            "label": tf.fill(tf.shape(text), self.mark),
            "score": score,
            "probabilities": tf.stack([score, 1.0 - score], axis=1),
        }

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify_by_label(self, text):
        outputs = self.classify_text(text)
        labels = tf.stack([self.mark, "other"])
        return outputs | {"labels": tf.repeat(labels[tf.newaxis], tf.shape(text)[0], axis=0)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def fill_mask(self, text):
        scores = self.classify_text(text)["probabilities"]
        return {"tokens": tf.stack([text, text], axis=1), "scores": scores}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def embed(self, text):
        return {"embedding": self.classify_text(text)["probabilities"]}

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.string, name="text_pair"),
        ],
    )
    def join_pair(self, text, text_pair):
        return {"joined": tf.strings.join([text, text_pair], separator="|")}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def echo_text(self, text):
        return {"echo": text}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def echo_bytes(self, text):
        return {"echo_bytes": text}

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="float32"),
            tf.TensorSpec([None], tf.float64, name="float64"),
            tf.TensorSpec([None, None], tf.int32, name="int32"),
            tf.TensorSpec([None], tf.int64, name="int64"),
            tf.TensorSpec([None], tf.uint8, name="uint8"),
            tf.TensorSpec([None], tf.bool, name="boolean"),
        ],
    )
    def echo_types(self, float32, float64, int32, int64, uint8, boolean):
        tensors = (float32, float64, int32, int64, uint8, boolean)
        names = ("float32", "float64", "int32", "int64", "uint8", "boolean")
        return {f"{name}_out": tensor for name, tensor in zip(names, tensors, strict=True)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def halve(self, x):
        return {"y": x / 2.0}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def without_batch(self, x):
        return {"total": tf.reduce_sum(x), "y": x}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def uneven_batch(self, x):
        return {"a": x, "b": tf.concat([x, x], axis=0)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def half_precision(self, x):
        return {"y": tf.cast(x, tf.float16)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float16, name="x")])
    def takes_half(self, x):
        return {"y": tf.cast(x, tf.float32)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def fail_if_negative(self, x):
        check = tf.debugging.Assert(tf.reduce_all(x >= 0), ["x must not be negative"])
        with tf.control_dependencies([check]):
            return {"y": tf.identity(x)}

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec([None], tf.int32, name="num_steps")]
    )
    def count_slowly(self, num_steps):
        total = tf.while_loop(
            lambda step: step < num_steps[0], lambda step: [step + 1], [tf.constant(0)]
        )[0]
        return {"total": tf.fill(tf.shape(num_steps), total)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify_examples(self, inputs):
        text = tf.io.parse_example(inputs, {"text": tf.io.FixedLenFeature([], tf.string)})["text"]
        probabilities = self.classify_text(text)["probabilities"]
        names = tf.stack([self.mark, "other"])
        return {
            "classes": tf.repeat(names[tf.newaxis], tf.shape(text)[0], axis=0),
            "scores": probabilities,
        }

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress_examples(self, inputs):
        return {"outputs": self.classify_examples(inputs)["scores"][:, 0]}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def count_rows(self, text):
        """How many rows are answered together."""
        return {"num_rows": tf.fill(tf.shape(text), tf.shape(text)[0])}

    def save(self, directory: Path) -> None:
        signatures = {
            "serving_default": self.classify_text,
            "pair": self.join_pair,
            "echo": self.echo_text,
            "bytes": self.echo_bytes,
            "types": self.echo_types,
            "halve": self.halve,
            "without_batch": self.without_batch,
            "uneven_batch": self.uneven_batch,
            "half_precision": self.half_precision,
            "takes_half": self.takes_half,
            "fail_if_negative": self.fail_if_negative,
            "count_slowly": self.count_slowly,
            "classify": self.classify_examples,
            "regress": self.regress_examples,
            "count_rows": self.count_rows,
            "labelled": self.classify_by_label,
            "fill_mask": self.fill_mask,
            "embed": self.embed,
            "embed_normalized": self.embed,
        }
        tf.saved_model.save(self, str(directory), signatures=signatures)


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A SavedModel for each mark, made once."""
    root = tmp_path_factory.mktemp("saved_models")
    for mark in ("one", "two"):
        TinyModel(mark).save(root / mark)
    return {mark: root / mark for mark in ("one", "two")}


@pytest.fixture(scope="session")
def publish(saved_models: dict[str, Path]) -> Callable[[Path, int, str], Path]:
    """Puts a copy of a SavedModel into place as a whole, as a version."""

    def publish_version(base_path: Path, version: int, mark: str) -> Path:
        base_path.mkdir(parents=True, exist_ok=True)
        temporary = base_path / f"tmp-{version}"
        shutil.copytree(saved_models[mark], temporary)
        return temporary.rename(base_path / str(version))

    return publish_version


@pytest.fixture(scope="session")
def demo_settings(tmp_path_factory: pytest.TempPathFactory, publish) -> ModelSettings:
    """A model with the versions 1 and 2, and labels for one that is there and one that is not."""
    base_path = tmp_path_factory.mktemp("served") / "demo"
    publish(base_path, 1, "one")
    publish(base_path, 2, "two")
    return ModelSettings(
        "demo", base_path, serves_all_versions=True, version_labels={"stable": 1, "gone": 9}
    )


@pytest.fixture(scope="session")
def server(demo_settings: ModelSettings) -> Iterator[LocalServer]:
    """One server for the tests that only ask: the model, and one that is not on disk."""
    absent = ModelSettings("absent", demo_settings.base_path.with_name("absent"))
    with LocalServer(
        [demo_settings, absent], port=0, rest_api_port=0, file_system_poll_wait_seconds=0
    ) as running:
        yield running


@pytest.fixture
def rest_client(server: LocalServer) -> Iterator[RestClient]:
    with RestClient(server.rest_url, model_name="demo") as client:
        yield client

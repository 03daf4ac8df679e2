"""What TF Serving would not take, or would answer differently, is found before it ships."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.config import Config
from bert_tf.exporting import export_checks, servability
from bert_tf.exporting.hostile_rows import hostile_request
from bert_tf.exporting.saved_model import export_model
from bert_tf.exporting.servability import PROGRAM, REPORT_FILE, check_file, check_servability
from bert_tf.exporting.serving_ops import (
    LIST_FILE,
    OLDER_FILE,
    describe_ops,
    find_missing,
    list_ops,
    missing_in,
    missing_in_older,
    serving_ops,
)
from bert_tf.exporting.warmup import WARMUP_FILE, WarmupRequest, make_requests, write_requests
from tests.exporting.test_saved_model import export, make_folder

TEXT = tf.TensorSpec([None], tf.string, name="text")
REQUEST = WarmupRequest("serving_default", {"text": np.array([b"a", b"bcd"], object)})


def save(folder, function, *, spec=TEXT, requests=(REQUEST,)):
    """A SavedModel of one signature."""
    module = tf.Module()
    module.f = tf.function(function, autograph=False, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.f})
    (folder / "assets.extra").mkdir()
    if requests:
        write_requests(requests, folder)
    return folder


def length(text):
    return {"n": tf.strings.length(text)}


def faults(checks, name):
    (check,) = (check for check in checks if check.name == name)
    return " ".join(check.faults)


def test_a_process_that_does_not_end_is_a_fault(tmp_path, monkeypatch):
    version = export(make_folder(tmp_path / "model"), tmp_path / "base")
    monkeypatch.setattr(servability, "SECONDS_TO_REPLAY", 0.01)
    report = servability.check_servability(version)
    assert report.faults == ["warm-up: a fresh process had not answered all requests after 0.01 s"]


def test_a_request_is_asked_once(tmp_path):
    folder = save(tmp_path / "1", lambda text: {"x": tf.random.uniform(tf.shape(text))})
    result = str(tmp_path / "result.npz")
    requests = str(folder / WARMUP_FILE)
    subprocess.run([sys.executable, "-I", str(PROGRAM), str(folder), result, requests], check=True)
    with np.load(result) as found:
        assert set(found.files) == {"facts", "0:x", "1:x"}
        np.testing.assert_array_equal(found["0:x"], found["1:x"])


def test_an_export_says_what_was_checked(tmp_path):
    version = export(make_folder(tmp_path / "model"), tmp_path / "base", check=True)
    report = json.loads((version / REPORT_FILE).read_text())
    assert report["is_servable"]
    names = {"operations", "signatures", "paths", "warm-up", "answers", "batching"}
    assert set(report["checks"]) == names
    assert "in stock TF Serving 2.20 and later" in report["checks"]["operations"]["detail"]
    assert "alone and in a batch" in report["checks"]["batching"]["detail"]
    assert report["num_bytes"] > 1000
    assert report["load_seconds"] > 0
    assert report["checks"]["answers"]["detail"].startswith("those of the model in memory")


def test_the_requests_are_of_every_signature_and_several_lengths(tmp_path):
    version = export(make_folder(tmp_path / "model", kind="pretraining"), tmp_path / "base")
    requests = [
        tf.io.decode_raw(record, tf.uint8).shape[0]
        for record in tf.data.TFRecordDataset(str(version / WARMUP_FILE))
    ]
    assert len(requests) == 4 * 7
    assert max(requests) > 10 * min(requests)


def test_answers_other_than_in_memory_are_not_published(tmp_path, monkeypatch):
    real = export_checks.answers_of

    def other(model, requests):
        answers = real(model, requests)
        answers[-1] = {
            name: value + 1 for name, value in answers[-1].items() if value.dtype.kind == "f"
        }
        return answers

    monkeypatch.setattr(export_checks, "answers_of", other)
    folder = make_folder(tmp_path / "model", kind="encoder")
    with pytest.raises(ValueError, match=r"other values than in memory(?s:.*)is not published"):
        export(folder, tmp_path / "base", check=True)
    assert not list((tmp_path / "base").glob("[0-9]*"))


def test_a_function_of_python_is_found(tmp_path):
    def call_back(text):
        return {"n": tf.py_function(lambda x: x, [tf.strings.length(text)], tf.int32)}

    report = check_servability(save(tmp_path / "1", call_back))
    found = report.checks
    assert "EagerPyFunc is no operation of stock TF Serving" in faults(found, "operations")
    assert faults(found, "warm-up"), "and it does not run elsewhere"
    assert report.faults
    assert "FAILED operations: EagerPyFunc" in report.describe()


def test_a_compiled_function_is_found(tmp_path):
    compiled = tf.function(lambda x: tf.cast(x, tf.float32) * 2.0, jit_compile=True)
    found = check_file(save(tmp_path / "1", lambda text: {"n": compiled(tf.strings.length(text))}))
    assert "needs a compiler" in faults(found, "operations")


def test_a_path_of_this_machine_is_found(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a")
    found = check_file(save(tmp_path / "1", lambda text: {"n": text + tf.io.read_file(str(path))}))
    assert f"{path} is a place on this machine" in faults(found, "paths")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda text: {"n": tf.size(text)}, "output n has the shape (); its first must be"),
        (lambda text: {"n": tf.constant([1, 2])}, "output n has the shape (2,)"),
        (
            lambda text: {"n": tf.cast(tf.strings.length(text), tf.bfloat16)},
            "output n is bfloat16, which REST cannot write",
        ),
    ],
)
def test_signatures_that_rows_cannot_ask_are_found(tmp_path, function, message):
    assert message in faults(check_file(save(tmp_path / "1", function)), "signatures")


@pytest.mark.flows
def test_other_answers_and_failing_requests_are_found(tmp_path):
    folder = save(tmp_path / "1", length)
    good = [{"n": np.array([1, 3], np.int32)}]
    assert not check_servability(folder, good).faults
    wrong = [{"n": np.array([1, 4], np.int32)}]
    assert faults(check_servability(folder, wrong).checks, "answers")
    write_requests([WarmupRequest("other", REQUEST.arguments)], folder)
    assert "there is no signature 'other'" in faults(check_servability(folder).checks, "warm-up")
    (folder / WARMUP_FILE).unlink()
    assert faults(check_servability(folder).checks, "warm-up")


def test_no_saved_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold saved_model\.pb"):
        check_servability(tmp_path)


def test_texts_of_ones_own_warm_it_up(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"text {'x' * n}" for n in range(1, 300)) + "\n", encoding="utf-8")
    folder = make_folder(tmp_path / "model", has_text_pairs=True)
    version = export(folder, tmp_path / "base", warmup_texts=str(texts))
    content = b"".join(
        record.numpy() for record in tf.data.TFRecordDataset(str(version / WARMUP_FILE))
    )
    assert b"text " + b"x" * 299 in content
    texts.write_text("\n")
    with pytest.raises(ValueError, match="at least one line must hold a text"):
        export(folder, tmp_path / "base", warmup_texts=str(texts))


def test_the_list_of_operations_is_that_of_the_installed_packages():
    assert list_ops() == sorted(serving_ops()), f"write {LIST_FILE.name} anew"
    assert {"MatMul", "FastWordpieceTokenizeWithOffsets", "RaggedTensorToTensor"} <= serving_ops()
    assert not {"PyFunc", "EagerPyFunc", "XlaLaunch"} & serving_ops()


def test_what_older_releases_lack_are_operations_of_the_list_and_their_attributes():
    import tensorflow_text  # noqa: F401

    described = describe_ops()
    assert list(missing_in_older()) == [f"2.{minor}" for minor in range(13, 20)]
    for missing in missing_in_older().values():
        for name in missing:
            operation, _, attribute = name.partition(".")
            assert operation in serving_ops(), f"write {OLDER_FILE.name} anew"
            assert not attribute or attribute in described[operation]
    assert "_QuantizedMatMul" in missing_in("2.16") - missing_in("2.17.1")
    assert "TFText>Utf8Binarize" in missing_in("2.19"), "tensorflow-text 2.12"
    assert missing_in("2.20") == missing_in("2.20.1") == missing_in("2.21") == frozenset()


def test_differences_are_operations_and_attributes():
    newest = {"A": ["x", "y"], "B": [], "C": ["z", "debug_name"]}
    older = {"A": ["x"], "C": ["z", "w"], "D": []}
    assert find_missing(newest, older) == ["A.y", "B"]


@pytest.mark.parametrize("version", ["2.12", "1.15.0"])
def test_a_release_that_is_not_known_is_refused(version):
    with pytest.raises(ValueError, match=r"must be 2\.13, .*, 2\.20 or later\. Received: [12]\."):
        missing_in(version)
    with pytest.raises(ValueError, match=r"must be written like 2\.20\. Received: 'newest'"):
        missing_in("newest")


def test_what_an_older_release_lacks_is_told_with_the_signature(tmp_path):
    from tensorflow_text.python.ops.utf8_binarize_op import utf8_binarize

    folder = save(tmp_path / "1", lambda text: {"n": utf8_binarize(text)})
    assert not faults(check_file(folder, serving_version="2.20"), "operations")
    assert faults(check_file(folder, serving_version="2.16"), "operations") == (
        "TFText>Utf8Binarize is not in TF Serving 2.16, used by serving_default"
    )
    (check,) = (check for check in check_file(folder) if check.name == "operations")
    assert "2.19 lacks TFText>Utf8Binarize" in check.detail


def test_an_attribute_that_an_older_release_lacks_is_told(tmp_path):
    def pick(text):
        places = tf.stack([tf.strings.length(text), tf.zeros_like(text, tf.int32)], axis=1)
        return {"n": tf.gather_nd(places, places, bad_indices_policy="IGNORE")}

    folder = save(tmp_path / "1", pick)
    assert "GatherNd.bad_indices_policy is not in TF Serving 2.16" in faults(
        check_file(folder, serving_version="2.16"), "operations"
    )
    assert not faults(check_file(folder, serving_version="2.17"), "operations")


def test_an_export_is_refused_for_a_release_that_lacks_an_operation(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "model")
    config = Config.model_validate({"export": {"model": str(folder)}})
    monkeypatch.setattr(servability, "missing_in", lambda version: frozenset({"MatMul"}))
    with pytest.raises(ValueError, match=r"MatMul is not in TF Serving 2\.16, used by classify, "):
        export_model(config, tmp_path / "base", serving_version="2.16")
    assert not list((tmp_path / "base").glob("[0-9]*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--serving-version", "2.9"), "2.20 or later. Received: 2.9"),
        (("--serving-version", "2.16", "--no-check"), "leave --no-check out"),
    ],
)
def test_the_command_refuses_a_release_that_it_cannot_look_at(tmp_path, options, message):
    folder = ("--set", f"export.model={make_folder(tmp_path / 'model')}")
    output_dir = ("--output-dir", str(tmp_path / "base"))
    result = CliRunner().invoke(main, ["export", *folder, *output_dir, *options])
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    assert not list((tmp_path / "base").glob("[0-9]*"))


def test_pairs_are_made_where_the_texts_are_single(tmp_path):
    class OfPairs:
        structured_input_signature = ((), {"text": None, "text_pair": None})

    requests = make_requests({"pair": OfPairs}, None, [(b"a",), (b"bb", b"second"), (b"ccc",)])
    assert requests[-1].arguments["text_pair"].tolist() == [b"ccc", b"second", b"a"]


def test_examples_have_the_features_that_the_task_names(tmp_path):
    class OfExamples:
        structured_input_signature = ((), {"inputs": None})

    names = ("question", "context")
    requests = make_requests({"classify": OfExamples}, None, [(b"a", b"b")], example_names=names)
    example = tf.train.Example.FromString(requests[0].arguments["inputs"][0])
    values = {name: it.bytes_list.value[:] for name, it in example.features.feature.items()}
    assert values == {"question": [b"a"], "context": [b"b"]}
    asked = hostile_request(["inputs"], vocab_size=9, num_segments=2, example_names=names)
    found = [tf.train.Example.FromString(it).features.feature for it in asked["inputs"]]
    assert set(found[2]) == {"question", "context"}

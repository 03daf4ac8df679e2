"""A model of multiple choice that is exported: its precisions, and every way to ask it."""

import asyncio
import json

import keras
import pandas as pd
import pytest
from click.testing import CliRunner

import bert_tf
from bert_tf.cli.main import main
from bert_tf.exporting.mlflow_model import check_example, make_example, make_signature
from bert_tf.exporting.predict import predict_inputs, predict_texts
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.tasks.models import build_model
from serving.client import AsyncClient, Choice, GrpcClient, RestClient
from serving.client.__main__ import main as ask
from serving.errors import InvalidArgumentError
from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings
from tests.exporting.test_saved_model import ARCHITECTURE, VOCABULARY, WordPieceTokenizer, export

CHOICES = [["good", "bad film"], ["the film", "bad", "good 한글"]]
TEXTS = ["the film", "한글 좋아요"]
LINES = ["\n".join(choices) for choices in CHOICES]


def make_folder(path, *, max_windows=1, **settings):
    tokenizer = WordPieceTokenizer(
        VOCABULARY, lower_case=False, strip_accents=False, unicode_normalization="NFC"
    )
    tokenizer.save(path)
    description = ModelDescription(
        kind="multiple_choice",
        architecture=ARCHITECTURE,
        max_seq_length=16,
        max_windows=max_windows,
        has_text_pairs=True,
        task_state={"settings": settings} if settings else {},
    )
    keras.utils.set_random_seed(1)  # of some random weights int8 loses more than of others
    model = build_model(description)
    for weight in model.weights:  # choices that differ by more than rounding
        if len(weight.shape) == 2 and "head" in weight.path:
            weight.assign(weight.value * 8)
    save_model(model, description, path)
    return path


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    folder = make_folder(tmp_path_factory.mktemp("model"), choice_fields=["a", "b", "c"])
    return export(folder, tmp_path_factory.mktemp("served") / "choices", check=True)


@pytest.fixture(scope="module")
def expected(version):
    return predict_inputs(version, {"text": TEXTS, "choices": LINES})


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_precisions_and_windows_are_exported_with_all_checks(precision, tmp_path, caplog):
    folder = make_folder(tmp_path / "model", max_windows=2)
    (tmp_path / "texts.txt").write_text("the film\tgood\tbad\n한글\t좋아요\tbad film\nfilm\n")
    settings = {"calibration_texts": str(tmp_path / "texts.txt")} if precision == "int8" else {}
    served = export(folder, tmp_path / "base", check=True, precision=precision, **settings)
    long = ["good film . " * 20, "the"]
    for found in predict_texts(served, long, text_pairs=LINES):
        assert found["status"] == "OK"
        assert sum(found["probabilities"]) == pytest.approx(1.0, abs=1e-3)


def test_a_table_is_read_as_in_training_and_lines_have_tabs(version, expected, tmp_path):
    rows = [
        dict(zip(["text", "a", "b", "c"], [text, *choices], strict=False))
        for text, choices in zip(TEXTS, CHOICES, strict=True)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    asked = ["predict", "--model", str(version)]
    output = str(tmp_path / "out.jsonl")
    found = run(*asked, "--file", str(tmp_path / "a.csv"), "--output", output)
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert found.strip() == output
    assert [row["choice"] for row in told] == [row["choice"] for row in expected]
    assert [row["a"] for row in told] == ["good", "the film"]
    lines = ["\t".join([text, *of]) for text, of in zip(TEXTS, CHOICES, strict=True)]
    of_lines = [json.loads(line) for line in run(*asked, *lines).splitlines()]
    assert [row["choice_text"] for row in of_lines] == [row["choice_text"] for row in expected]
    pd.DataFrame({"q": TEXTS, "o": LINES}).to_parquet(tmp_path / "b.parquet")
    fields = ["--text-field", "q", "--text-pair-field", "o"]
    named = run(*asked, "--file", str(tmp_path / "b.parquet"), *fields).splitlines()
    assert [json.loads(line)["choice"] for line in named] == [row["choice"] for row in expected]
    rows[1]["b"] = rows[1]["a"]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    refused = run(*asked, "--file", str(tmp_path / "a.csv"), "--output", output, exit_code=1)
    assert "a.csv:3: choices must differ" in refused


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == exit_code, result.output
    return result.output


def test_python_asks_with_tuples_and_with_frames(version, expected):
    model = bert_tf.load(version.parent)
    by_rows = model.predict(list(zip(TEXTS, CHOICES, strict=True)))
    assert by_rows["choice"].tolist() == [row["choice"] for row in expected]
    by_lines = model.predict(list(zip(TEXTS, LINES, strict=True)))
    assert by_lines["choice_text"].tolist() == [row["choice_text"] for row in expected]
    columns = dict(zip("abc", zip(*[[*it, None][:3] for it in CHOICES], strict=True), strict=True))
    frame = pd.DataFrame({"text": TEXTS, **columns}, index=[5, 6])
    by_frame = model.predict(frame)
    assert by_frame.index.tolist() == [5, 6]
    assert by_frame["choice"].tolist() == by_rows["choice"].tolist()
    named = model.predict(
        pd.DataFrame({"q": TEXTS, "o": CHOICES}), text_field="q", text_pair_field="o"
    )
    assert named["score"].tolist() == pytest.approx(by_rows["score"].tolist())
    assert model.predict(frame.iloc[:0]).empty
    with pytest.raises(ValueError, match="a row must be a tuple of text, choices"):
        model.predict(["alone"])


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_clients_choose(version, expected, kind, capsys):
    settings = ModelSettings(name="choices", base_path=version.parent)
    with LocalServer([settings], port=0, rest_api_port=0) as server:
        made = (
            RestClient(server.rest_url, model_name="choices")
            if kind == "rest"
            else GrpcClient(server.grpc_address, model_name="choices")
        )
        with made as client:
            broken = [CHOICES[0], ["the\nfilm", *CHOICES[1][1:]]]
            found = client.choose(TEXTS, broken)
            assert [type(it) for it in found] == [Choice, Choice]
            for choice, wanted in zip(found, expected, strict=True):
                assert (choice.number, choice.text) == (wanted["choice"], wanted["choice_text"])
                assert choice.score == pytest.approx(wanted["score"], abs=1e-5)
            assert [len(it.probabilities) for it in found] == [2, 3]
            assert found[1].score == pytest.approx(max(found[1].probabilities))
            assert client.choose([], []) == []
            with pytest.raises(InvalidArgumentError, match="choices must be from 2 to 100 lines"):
                client.choose(["a"], [["only one"]])
            with pytest.raises(InvalidArgumentError, match="an empty line, number 1"):
                client.choose(["a"], [["a", "", "c"]])
            awaited = asyncio.run(AsyncClient(client).choose(TEXTS, broken))
            assert [it.number for it in awaited] == [it.number for it in found]
        lines = ["\t".join([text, *of]) for text, of in zip(TEXTS, CHOICES, strict=True)]
        where = ["--url", server.rest_url] if kind == "rest" else ["--grpc", server.grpc_address]
        assert ask([*where, "--model", "choices", "--choices", *lines]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["choice_text"] for row in told] == [row["choice_text"] for row in expected]
    assert told[0]["choices"] == LINES[0]


def test_the_registry_s_entry_takes_text_and_choices(version):
    signature = make_signature(version)
    assert sorted(signature.inputs.required_input_names()) == ["choices", "text"]
    check_example(version, example=make_example(None, signature=signature))
    frame = pd.DataFrame({"text": TEXTS, "choices": LINES})
    check_example(version, example=make_example(frame, signature=signature))

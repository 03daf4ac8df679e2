"""Tables of texts through a SavedModel, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import read_table
from bert_tf.exporting.predict_table import predict_table
from tests.keyword_model import save_keyword

NUM_ROWS = 2_500
KILLED_AT_SECOND_BATCH = """
import os, signal, sys
from bert_tf.exporting.predict_table import predict_table

calls = []

def kill(*event):
    calls.append(event)
    if [call[0] for call in calls].count("predict") == 2:
        os.kill(os.getpid(), signal.SIGKILL)

predict_table(*sys.argv[1:4], text_field="sentence", on_progress=kill)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_keyword(tmp_path_factory.mktemp("model") / "keyword", "(?s:.*)좋(?s:.*)")


@pytest.fixture(scope="module")
def pair_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says whether the two texts are the same."""

    class Same(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, name="text"),
                tf.TensorSpec([None], tf.string, name="text_pair"),
            ]
        )
        def answer(self, text: tf.Tensor, text_pair: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"is_same": tf.equal(text, text_pair)}

    module = Same()
    path = tmp_path_factory.mktemp("model") / "pairs"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer})
    (path / "assets.extra").mkdir()
    fields = "finetuning: {text_field: premise, text_pair_field: hypothesis}\n"
    (path / "assets.extra" / "training.yaml").write_text(fields)
    return path


def write_source(path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "id": range(NUM_ROWS),
            "sentence": [
                f'"{row}"번, 좋다\n' if row % 3 else f"싫다 {row}" for row in range(NUM_ROWS)
            ],
            "label": ["good" if row % 3 else "bad" for row in range(NUM_ROWS)],
        }
    )
    frame.to_csv(path, index=False)
    return path


def run(*arguments: object, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, ["predict", *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result.output if exit_code else result.stdout


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_every_row_keeps_its_columns_and_gets_its_answers(
    tmp_path: Path, model: Path, kind: str
) -> None:
    source = write_source(tmp_path / "test.csv")
    progress: list[Any] = []
    output = predict_table(
        model,
        source,
        tmp_path / f"answers{kind}",
        text_field="sentence",
        on_progress=lambda *event: progress.append(event),
    )
    asked, answered = read_table(source, key="--file"), read_table(output, key="--file")
    assert answered.names == (
        *("id", "sentence", "label", "predicted_label", "labels", "probabilities", "score"),
    )
    for name in asked.names:
        assert list(answered.columns[name]) == asked.columns[name], f"{name}, in its order"
    assert answered.columns["predicted_label"] == asked.columns["label"]
    first = answered.columns["labels"][0]
    assert (json.loads(first) if kind == ".csv" else first) == ["bad", "good"]
    done = (1024, 2048, NUM_ROWS)
    assert [event[:3] for event in progress] == [
        *(("check", rows, None) for rows in done),
        *(("predict", rows, NUM_ROWS) for rows in done),
    ]
    assert progress[-1][3].endswith(" rows/s")


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_a_killed_prediction_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, model: Path, kind: str
) -> None:
    source = write_source(tmp_path / "test.csv")
    output = tmp_path / f"answers{kind}"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_SECOND_BATCH, str(model), str(source), str(output)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not output.exists()
    progress: list[Any] = []
    predict_table(
        *(model, source, output),
        text_field="sentence",
        on_progress=lambda *event: progress.append(event),
    )
    done = [event[1] for event in progress if event[0] == "predict"]
    assert done == [NUM_ROWS], "the first two batches were kept"
    whole = predict_table(model, source, tmp_path / f"whole{kind}", text_field="sentence")
    assert output.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_changed_file_is_not_gone_on_with(tmp_path: Path, model: Path) -> None:
    source, output = write_source(tmp_path / "test.csv"), tmp_path / "answers.csv"

    def interrupt(stage: str, *_: object) -> None:
        if stage == "predict":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_table(model, source, output, text_field="sentence", on_progress=interrupt)
    source.write_text(source.read_text("utf-8") + "9,x,good\n", "utf-8")
    with pytest.raises(ValueError, match=r"same settings\. Received: files=.*remove the folder"):
        predict_table(model, source, output, text_field="sentence")
    with pytest.raises(ValueError, match=r"same settings\. Received: batch_size=8 \(before: 32\)"):
        predict_table(model, source, output, text_field="sentence", batch_size=8)


def test_faults_are_told_before_the_model_works(tmp_path: Path, model: Path) -> None:
    source, output = write_source(tmp_path / "test.csv"), tmp_path / "answers.csv"
    source.write_text(source.read_text("utf-8") + "9,x\n", "utf-8")
    progress: list[Any] = []
    with pytest.raises(ValueError, match=r"test\.csv:\d+: a record needs the 3 cells.*--quoting"):
        predict_table(
            *(model, source, output),
            text_field="sentence",
            on_progress=lambda *event: progress.append(event),
        )
    assert {event[0] for event in progress} == {"check"}
    with pytest.raises(ValueError, match=r"nearest name is|Set --text-field to one of them"):
        predict_table(model, write_source(source), output)
    with pytest.raises(ValueError, match=r"takes \['text'\].*no --text-pair-field"):
        predict_table(model, source, output, text_field="sentence", text_pair_field="id")
    with pytest.raises(ValueError, match=r"--output must end in one of"):
        predict_table(model, source, tmp_path / "answers.xlsx", text_field="sentence")


def test_what_is_in_memory_is_answered(tmp_path: Path, model: Path) -> None:
    frame = pd.DataFrame({"text": ["좋다", "싫다"], "n": [1.5, None]})
    output = predict_table(model, frame, tmp_path / "a.jsonl")
    table = read_table(output, key="--file")
    assert table.columns["label"] == ["good", "bad"]
    assert table.columns["n"] == [1.5, None]


def test_names_that_clash_twice_are_refused(tmp_path: Path, model: Path) -> None:
    rows = [{"text": "좋다", "label": "a", "predicted_label": "b"}]
    with pytest.raises(ValueError, match=r"row 1: .*'label' and 'predicted_label'\. Rename one"):
        predict_table(model, rows, tmp_path / "a.csv")


def test_pairs_are_asked_with_the_columns_of_the_training(tmp_path: Path, pair_model: Path) -> None:
    rows = [{"premise": "a", "hypothesis": "a"}, {"premise": "a", "hypothesis": "b"}]
    table = read_table(predict_table(pair_model, rows, tmp_path / "a.jsonl"), key="--file")
    assert table.columns["is_same"] == [True, False]
    (pair_model / "assets.extra" / "training.yaml").rename(tmp_path / "training.yaml")
    try:
        with pytest.raises(ValueError, match=r"no column for text_pair\. Set --text-pair-field"):
            predict_table(pair_model, rows, tmp_path / "b.jsonl", text_field="premise")
    finally:
        (tmp_path / "training.yaml").rename(pair_model / "assets.extra" / "training.yaml")


def test_real_reviews_are_answered(tmp_path: Path, model: Path, shared_data: Path) -> None:
    output = predict_table(
        *(model, shared_data / "ko/nsmc/test.tsv", tmp_path / "a.parquet"),
        text_field="document",
        config=TableConfig(),
    )
    frame = pd.read_parquet(output)
    assert len(frame) == 10_000
    assert (frame["predicted_label"] == "good").equals(frame["document"].str.contains("좋"))


def test_the_command_writes_a_table(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes("좋다,1\r\n싫다,0\r\n".encode("cp949"))
    output = run(
        *("--model", model, "--file", source, "--output", tmp_path / "answers.csv"),
        *("--encoding", "cp949", "--no-header", "--text-field", "1", "--batch-size", 1),
    )
    assert output.strip() == str(tmp_path / "answers.csv")
    table = read_table(tmp_path / "answers.csv", key="--file")
    assert table.columns["1"] == ["좋다", "싫다"]
    assert table.columns["label"] == ["good", "bad"]


def test_the_command_shows_a_table_without_output(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "좋다", "id": 7}\n{"text": "싫다", "id": 8}\n', "utf-8")
    rows = [json.loads(line) for line in run("--model", model, "--file", path).splitlines()]
    assert [(row["id"], row["label"]) for row in rows] == [(7, "good"), (8, "bad")]


def test_the_command_reads_lines_as_before(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("좋다\n싫다\n", "utf-8")
    answers = run("--model", model, "--file", path)
    assert answers == run("--model", model, "좋다", "싫다")
    assert [list(json.loads(line)) for line in answers.splitlines()] == [
        ["label", "labels", "probabilities", "score"]
    ] * 2


def test_options_of_tables_need_one(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n좋다\n", "utf-8")
    for arguments in (["--output", "a.csv", "좋다"], ["--file", "a.txt", "--no-header"]):
        assert "need --file with a table" in run("--model", model, *arguments, exit_code=2)
    message = run("--model", model, "--file", path, "--encoding", "utf-9", exit_code=2)
    assert "must be a text encoding that Python knows" in message
    message = run("--model", model, "--file", tmp_path / "no.csv", exit_code=1)
    assert "--file must name an existing file" in message

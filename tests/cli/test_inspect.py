"""`bert-tf inspect`: plain text for a pipe, colours for a terminal, the report of a folder.

Likewise for labelled data.
"""

import io
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from bert_tf.cli.inspect import make_text
from bert_tf.cli.main import main
from bert_tf.config import validate_config
from bert_tf.data.inspection.examples import read_examples
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.learning import learn_tokenizer

WORDS = ["cat", "house", "river", "나무", "바다", "stone"]


@pytest.fixture(scope="module")
def records_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspected")
    rng = random.Random(0)
    documents = [
        "\n".join(" ".join(rng.choices(WORDS, k=5)) + "." for _ in range(6)) for _ in range(40)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    config = validate_config(
        {
            "corpus": {"paths": [str(folder / "text.txt")], "held_out_share": 0.2},
            "vocabulary": {"size": 100},
            "tokenizer": {"vocabulary": str(folder / "vocab")},
            "examples": {"max_seq_length": 24},
            "records": {"num_shards": 1, "num_workers": 1},
        }
    )
    learn_tokenizer(
        config.model_copy(update={"tokenizer": validate_config({}).tokenizer}), folder / "vocab"
    )
    prepare_records(config, folder / "records")
    return folder / "records"


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, ["inspect", *arguments], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output if exit_code else result.stdout


def test_examples_are_plain_text_without_a_terminal(records_dir: Path) -> None:
    output = run("--records", str(records_dir), "--num", "2", "--set", "masking.mask_share=0.9")
    assert "train example 2 of 2, next sentence: " in output
    assert "\nA  [CLS] " in output
    assert "\nB  " in output
    assert "[MASK](" in output
    assert "나무" in output
    assert "\x1b" not in output
    assert "eval example 1 of 1" in run(
        "--records", str(records_dir), "--num", "1", "--split", "eval"
    )


def test_a_terminal_gets_colours_and_the_same_words(records_dir: Path) -> None:
    (example,) = read_examples(
        records_dir, num=1, overrides=["masking.mask_share=1", "masking.random_share=0"]
    )
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="standard", width=1000).print(
        make_text(example)
    )
    coloured = stream.getvalue()
    for colour in ("1;33", "4;36", "2m[CLS]", "32m"):
        assert f"\x1b[{colour}" in coloured
    plain = make_text(example).plain
    assert plain.replace("\nA ", "\nA  ").split() == str(example).split()


def test_a_report_is_written_and_shown(records_dir: Path, tmp_path: Path) -> None:
    output = run("--records", str(records_dir), "--report", str(tmp_path / "report"))
    assert "40 documents, 240 sentences (6.0 a document)" in output
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "folder.json",
        "records_report.md",
        "records_report.json",
        "records_report.png",
    }
    output = run("--records", str(records_dir), "--report", str(tmp_path), "--no-sentences")
    assert "40 documents, not known sentences." in output


def test_what_is_wrong_is_a_message(records_dir: Path, tmp_path: Path) -> None:
    output = run("--records", str(tmp_path), exit_code=1)
    assert "manifest.json: prepared records must have a manifest" in output
    output = run("--records", str(records_dir), "--set", "masking.mask_shar=1", exit_code=1)
    assert "Did you mean masking.mask_share?" in output
    assert "0 is not in the range" in run("--records", "x", "--num", "0", exit_code=2)


@pytest.fixture
def labelled(tmp_path: Path) -> dict[str, str]:
    nfd = unicodedata.normalize("NFD", "나무")
    rows = {
        "train.csv": ["text,label", "나무,좋음", "cat,나쁨", f"{nfd},나쁨", "house,좋음\u200b"],
        "dev.csv": ["text,label", "river,좋음", "cat,나쁨"],
        "scores.csv": ["text,label", "cat,0.5", "house,4.5"],
    }
    for name, lines in rows.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name.partition(".")[0]: str(tmp_path / name) for name in rows}


def test_labelled_data_are_shown_before_anything_is_trained(labelled: dict[str, str]) -> None:
    output = run("--labelled", labelled["train"], "--held-out", labelled["dev"])
    assert "Read for the task `classification`. Lengths are in characters" in output
    assert "| examples | 4 | 2 |" in output
    assert f"| {labelled['train']}:2 | 좋음 | {labelled['train']}:4 | 나쁨 | `나무` |" in output
    assert "| in the training data, too |  | 1 (50.00%) |" in output
    assert "- Labels that look equal are one label, '좋음'" in output
    assert "\x1b" not in output
    assert "| examples | 6 |" in run("--labelled", labelled["train"], "--labelled", labelled["dev"])


def test_the_tokenizer_is_the_one_named_or_the_models(
    labelled: dict[str, str], records_dir: Path, tmp_path: Path
) -> None:
    folder = str(records_dir.parent / "vocab")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"tokenizer: {{vocabulary: {folder}}}\nfinetuning: {{max_seq_length: 8}}\n", "utf-8"
    )
    arguments = ("--labelled", labelled["train"])
    named = run(*arguments, "--tokenizer", folder, "--set", "finetuning.max_seq_length=8")
    assert "a model reads 8 (`finetuning.max_seq_length`, `max_windows`)" in named
    windows = ("--set", "finetuning.max_windows=3", "--set", "finetuning.window_stride=5")
    long = run(*arguments, "--tokenizer", folder, "--set", "finetuning.max_seq_length=8", *windows)
    assert "a model reads 18 (" in long
    assert "| will be cut | 0 (0.00%) |" in named
    assert run(*arguments, "--config", str(config)) == named
    assert run(*arguments, "--set", f"finetuning.pretrained={folder}") == named.replace(
        "reads 8", "reads 128"
    )


def test_a_labelled_report_is_written_and_shown(labelled: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "report"
    shown = run("--labelled", labelled["train"], "--report", str(folder))
    assert {path.name for path in folder.iterdir()} == {
        *("labelled.md", "labelled.json", "labelled_targets.png", "labelled_lengths.png"),
        "folder.json",
    }
    page = (folder / "labelled.md").read_text("utf-8")
    assert [line for line in page.splitlines() if line and not line.startswith("![")] == [
        line for line in shown.splitlines() if line
    ]


def test_settings_of_the_named_task_are_used(labelled: dict[str, str]) -> None:
    arguments = ("--labelled", labelled["scores"], "--task", "regression")
    assert "| targets, mean (standard deviation) | 2.5 (2) |" in run(*arguments)
    message = run(*arguments, "--set", "finetuning.task.range=[0,1]", exit_code=1)
    assert "scores.csv:3: a score must be from 0 to 1" in message


def test_settings_of_another_task_are_left_out_with_a_warning(
    labelled: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("finetuning: {task: {name: multi_label, separator: ';', threshold: 0.3}}")
    run("--labelled", labelled["scores"], "--task", "regression", "--config", str(config))
    dropped = "is for multi_label, whose settings are left out: separator, threshold. Set those of"
    assert f"--task regression: the configuration {dropped} regression by --set" in caplog.text
    caplog.clear()
    config.write_text("finetuning: {task: {name: regression, range: [0, 5]}}")
    run("--labelled", labelled["scores"], "--task", "regression", "--config", str(config))
    assert "--task" not in caplog.text


def test_options_of_the_other_kind_of_data_are_refused(labelled: dict[str, str]) -> None:
    assert "Give one of --records and --labelled." in run(exit_code=2)
    both = run("--records", "x", "--labelled", labelled["train"], exit_code=2)
    assert "Give one of --records and --labelled." in both
    for option, value in (("--held-out", "x"), ("--task", "regression"), ("--tokenizer", "x")):
        message = run("--records", "x", option, value, exit_code=2)
        assert f"{option} is for --labelled." in message
    for option in ("--num=2", "--split=eval", "--no-sentences"):
        message = run("--labelled", labelled["train"], option, exit_code=2)
        assert "is for --records." in message


def test_what_is_wrong_with_labelled_data_is_a_message(
    labelled: dict[str, str], tmp_path: Path
) -> None:
    message = run("--labelled", labelled["train"], "--set", "finetuning.x=1", exit_code=2)
    assert "finetuning.x" in message
    message = run("--labelled", str(tmp_path / "none.csv"), exit_code=1)
    assert "--labelled" in message
    (tmp_path / "latin.csv").write_bytes("text,label\nn\u00e9e,a\n".encode("latin-1"))
    message = run("--labelled", str(tmp_path / "latin.csv"), exit_code=1)
    assert "finetuning.table.encoding" in message


def test_the_command_line_imports_no_tensorflow() -> None:
    script = (
        "import sys, bert_tf.cli.main\n"
        "assert not {'tensorflow', 'matplotlib', 'rich', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

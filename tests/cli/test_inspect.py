"""`bert-tf inspect`: plain text for a pipe, colours for a terminal, the report of a folder."""

import io
import random
import subprocess
import sys
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


def test_the_command_line_imports_no_tensorflow() -> None:
    script = (
        "import sys, bert_tf.cli.main\n"
        "assert not {'tensorflow', 'matplotlib', 'rich', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

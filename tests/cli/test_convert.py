"""`bert-tf convert`: from the world's checkpoints to an answer, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from click.testing import CliRunner

from bert_tf.cli.main import convert, main
from bert_tf.conversion.convert import READABLE, WRITABLE, convert_checkpoint, load_checkpoint
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.exporting.predict import predict_texts
from bert_tf.models.description import load_description
from bert_tf.models.tensors import weights_by_name

GOLDEN = Path(__file__).parents[1] / "golden" / "huggingface"
WORDS = "좋 ##아 ##요 나 ##빠 영화 가 a b c good bad film plot the was . , ! ?".split()  # noqa: SIM905


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result.output


def with_tokenizer(tmp_path: Path, class_name: str) -> Path:
    """A Hugging Face folder as they are published: weights, configuration, tokenizer."""
    folder = tmp_path / class_name
    shutil.copytree(GOLDEN / class_name, folder)
    tokens = [*CONTROL_TOKENS, *WORDS]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    settings = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_the_choices_are_the_formats():
    options = {option.name: option for option in convert.params}
    assert tuple(options["target_format"].type.choices) == WRITABLE
    assert tuple(options["from_format"].type.choices) == READABLE


@pytest.mark.flows
def test_a_foreign_checkpoint_is_finetuned_exported_and_asked(tmp_path, caplog):
    folder = with_tokenizer(tmp_path, "BertForMaskedLM")
    said = run("convert", "--from", folder, "--to", tmp_path / "encoder")
    assert "pretraining with" in said
    assert "its tokenizer" in said
    rows = [("영화 좋아요", "pos"), ("good film", "pos"), ("나빠요 .", "neg"), ("bad plot", "neg")]
    lines = ["text\tlabel", *("\t".join(row) for row in rows * 6)]
    (tmp_path / "data.tsv").write_text("\n".join(lines), encoding="utf-8")
    settings = {
        "finetuning": {
            "pretrained": str(tmp_path / "encoder"),
            "train_path": str(tmp_path / "data.tsv"),
            "eval_path": str(tmp_path / "data.tsv"),
            "max_seq_length": 16,
            "num_epochs": 15,
            "training": {"batch_size": 8, "optimizer": {"learning_rate": 0.01}},
        },
        "export": {"model": str(tmp_path / "classifier")},
        "tracking": {"enabled": False},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    for command, target in (("finetune", "classifier"), ("export", "served")):
        run(command, "--config", tmp_path / "config.yaml", "--output-dir", tmp_path / target)
    assert "has no pooler" in caplog.text
    answers = predict_texts(tmp_path / "served", [text for text, _ in rows])
    assert [answer["label"] for answer in answers] == [label for _, label in rows]


@pytest.mark.parametrize(
    ("class_name", "signatures"),
    [
        ("BertModel", set()),
        ("BertForNextSentencePrediction", {"next_sentence"}),
        ("BertForMaskedLM", {"fill_mask"}),
        ("BertForTokenClassification", set()),
        ("BertForQuestionAnswering", set()),
    ],
)
def test_every_kind_is_exported(tmp_path, class_name, signatures):
    import tensorflow as tf

    model = convert_checkpoint(with_tokenizer(tmp_path, class_name), tmp_path / "model")
    export = ("export", "--set", f"export.model={tmp_path / 'model'}", "--no-check")
    run(*export, "--output-dir", tmp_path / "base")
    served = tf.saved_model.load(str(tmp_path / "base" / "1")).signatures
    of_every_kind = {"serving_default", "token_ids", "embed", "embed_normalized", "tokenize"}
    assert set(served) == of_every_kind | signatures
    if class_name == "BertModel":
        (answer,) = predict_texts(tmp_path / "base", ["영화 좋아요 !"])
        tokenizer = model.tokenizer
        pieces = tokenizer.tokenize(["영화 좋아요 !"]).to_list()[0]
        ids = np.array([[tokenizer.cls_id, *pieces, tokenizer.sep_id]], np.int32)
        inputs = {"input_ids": ids, "input_mask": ids * 0 + 1, "segment_ids": ids * 0}
        expected = model.network(inputs)["embedding"][0]
        np.testing.assert_allclose(answer["embedding"], expected, atol=1e-5)


def test_a_classifier_of_pairs_is_said_to_be_one(tmp_path):
    folder = with_tokenizer(tmp_path, "BertForSequenceClassification")
    run("convert", "--from", folder, "--to", tmp_path / "pairs", "--text-pairs")
    assert load_description(tmp_path / "pairs").has_text_pairs


def test_back_to_hugging_face(tmp_path):
    folder = with_tokenizer(tmp_path, "BertForPreTraining")
    run("convert", "--from", folder, "--to", tmp_path / "ours")
    run("convert", "--from", tmp_path / "ours", "--to", tmp_path / "hf", "--format", "huggingface")
    before, after = (load_checkpoint(path) for path in (folder, tmp_path / "hf"))
    assert before.description == after.description
    assert before.tokenizer.vocabulary == after.tokenizer.vocabulary
    assert before.tokenizer.settings == after.tokenizer.settings


def test_refusals_leave_nothing_behind(tmp_path):
    said = run("convert", "--from", tmp_path, "--to", tmp_path / "out", exit_code=1)
    assert "must be a checkpoint of one of" in said
    (tmp_path / "taken").mkdir()
    said = run("convert", "--from", GOLDEN / "BertModel", "--to", tmp_path / "taken", exit_code=1)
    assert "must be a new folder" in said
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_rows_without_a_token_are_filled_up(tmp_path):
    model = load_checkpoint(with_tokenizer(tmp_path, "BertModel"))
    known = len(CONTROL_TOKENS) + len(WORDS)
    assert model.tokenizer.vocab_size == 40
    assert model.tokenizer.vocabulary[known:] == tuple(f"[unused{n}]" for n in range(40 - known))


def test_case_is_said_where_the_files_do_not_say_it(tmp_path):
    google = GOLDEN.parent / "google_bert" / "pretraining"
    run("convert", "--from", google, "--to", tmp_path / "a", "--no-lower-case")
    assert load_checkpoint(tmp_path / "a").tokenizer.settings["lower_case"] is False
    run("convert", "--from", google, "--to", tmp_path / "b", "--lower-case")
    assert load_checkpoint(tmp_path / "b").tokenizer.settings["lower_case"] is True
    source = with_tokenizer(tmp_path, "BertModel")
    run("convert", "--from", source, "--to", tmp_path / "c", "--lower-case")
    assert load_checkpoint(tmp_path / "c").tokenizer.settings["lower_case"] is True
    said = run(
        *("convert", "--from", tmp_path / "c", "--to", tmp_path / "d", "--no-lower-case"),
        exit_code=1,
    )
    assert "lower_case is for google, model-garden, huggingface only" in said


def test_a_korean_vocabulary_alone_is_read_with_its_case(tmp_path, caplog):
    source = with_tokenizer(tmp_path, "BertModel")
    for file in ("tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"):
        (source / file).unlink(missing_ok=True)
    words = ["한국어", "영화", "좋다", "##은"]
    tokens = "".join(f"{token}\n" for token in (*CONTROL_TOKENS, *words))
    (source / "vocab.txt").write_text(tokens, encoding="utf-8")
    run("convert", "--from", source, "--to", tmp_path / "told")
    tokenizer = load_checkpoint(tmp_path / "told").tokenizer
    ids = tokenizer.tokenize(tf.constant(["한국어 영화 좋은"])).to_list()[0]
    assert ids[:2] == [5, 6]
    assert "should not be read lower-cased" not in caplog.text
    assert "become [UNK]" not in caplog.text
    run("convert", "--from", source, "--to", tmp_path / "wrong", "--lower-case")
    assert "a vocabulary with Hangul should not be read lower-cased" in caplog.text
    assert "3 of a sample of 3 words become [UNK], such as '한국어', '영화'" in caplog.text


@pytest.mark.parametrize("name", ["google", "keras-nlp"])
def test_one_library_to_another_and_back_is_bit_equal(tmp_path, name):
    source = GOLDEN.parent / "google_bert" / "pretraining"
    before = convert_checkpoint(source, tmp_path / "out", target_format=name)
    after = load_checkpoint(tmp_path / "out")
    encoder = weights_by_name(before.network)
    for path, weight in weights_by_name(after.network).items():
        np.testing.assert_array_equal(weight, encoder[path], err_msg=path)
    assert after.tokenizer.vocabulary == before.tokenizer.vocabulary

"""The code in docs/python.md runs as it stands there, with a few numbers made small."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bert_tf.config import ModelConfig
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import build_model, save_model
from tests.api.small_models import WORDS, make_frame
from tests.mlflow_stores import make_database

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
HUGGING_FACE = ROOT / "tests" / "golden" / "huggingface" / "BertModel"
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
SMALL = {
    "num_epochs=3,": "num_epochs=0.5,",
    '{"batch_size": 32}': '{"batch_size": 8}',
    '{"size": 30000}': '{"size": 60}',
    '{"size": "small"}': repr(SHAPE),
    "num_train_steps=100_000": "num_train_steps=2, training={'batch_size': 8}",
}
"""What stands on the page -> what the test runs."""


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict[str, Any]:
    """The page's variables after all of its code was run in a folder with what it reads."""
    folder = tmp_path_factory.mktemp("page")
    frame = make_frame(60).rename(columns={"good": "spam", "long": "toxic"})
    frame[["comment", "spam", "toxic"]].astype({"spam": int, "toxic": int}).to_csv(
        folder / "comments.csv", index=False
    )
    (folder / "texts").mkdir()
    documents = [f"{text}.\n{text} film.\n" for text in frame["comment"]]
    (folder / "texts" / "a.txt").write_text("\n".join(documents), encoding="utf-8")
    save_random_encoder(folder / "runs" / "encoder")
    shutil.copytree(HUGGING_FACE, folder / "downloads" / "bert")
    uri = make_database(folder / "mlflow.db")
    found: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        exec(compile(small_code(), str(PAGE), "exec"), found)
        yield found


def save_random_encoder(folder: Path) -> None:
    tokenizer = WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])
    tokenizer.save(folder)
    description = ModelDescription(
        kind="pretraining",
        architecture=ModelConfig(**SHAPE, vocab_size=tokenizer.vocab_size),
        max_seq_length=128,
    )
    save_model(build_model(description), description, folder)


def small_code() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    code = "\n".join(blocks)
    for written, run in SMALL.items():
        assert written in code, f"{PAGE.name} does not say {written} any more"
        code = code.replace(written, run)
    return code


def test_the_code_on_the_page_runs_and_gives_what_the_page_says(names):
    assert str(names["path"]) == "runs/served/comments/1"
    assert list(names["probabilities"].columns) == ["spam", "toxic"]
    assert list(names["answered"].index) == list(names["held_out"].index)
    assert "predicted" in names["answered"].columns
    assert names["vectors"].shape == (12, 32)
    assert names["metrics"]["micro_f1_low"] <= names["metrics"]["micro_f1_high"]
    assert Path("runs/evaluation/labels.png").is_file()


def test_an_encoder_of_own_text_fills_masks_embeds_and_is_fine_tuned(names):
    encoder, model = names["encoder"], names["model"]
    assert names["tokenizer"].vocab_size <= 60
    assert len(encoder.predict(["film [MASK]"])["tokens"][0]) == 5
    statuses = encoder.predict(["film", "[MASK]"])["status"].tolist()
    assert statuses[0].startswith("fill_mask needs [MASK] in the text, within the maximum length")
    assert statuses[1] == "OK"
    assert encoder.predict([]).shape == (0, 3)
    assert model.description.kind == "classification"
    assert model.predict(["good"])["labels"].tolist() == [["0", "1"]]


def test_every_function_of_the_package_is_on_the_page():
    import bert_tf

    page = PAGE.read_text(encoding="utf-8")
    classes = {"LoadedModel", "Task", "__version__"}
    assert [name for name in bert_tf.__all__ if name not in page and name not in classes] == []

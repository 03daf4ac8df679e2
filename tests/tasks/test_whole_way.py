"""Every task through the whole way: data, training, evaluation, export, server, registry, gate."""

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from bert_tf import registry
from bert_tf.cli.main import main
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.tasks.models import load_model
from serving.client import GrpcClient, RestClient
from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings
from tests.mlflow_stores import make_database

WORDS = ["good", "bad", "film", "plot", "long", "short"]
OPPOSITES = dict(zip(WORDS, [WORDS[place ^ 1] for place in range(len(WORDS))], strict=True))
"""What a text is translated to, word by word."""
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A task with data that it can learn from."""

    task: Any
    header: str
    """Of a .csv; empty of a .jsonl."""
    row: Callable[[list[str]], Any]
    """Words of a text -> the cells of its row; of a .jsonl the row."""
    metric: str
    least: float
    """What the metric reaches at least, on texts that were not trained on."""
    answers: set[str]
    finetuning: dict[str, Any] = dataclasses.field(default_factory=dict)
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    picture: str | None = None
    input_names: tuple[str, ...] = ("text",)


def share(words: list[str]) -> float:
    return words.count("good") / len(words)


def labelled_words(words: list[str]) -> dict[str, Any]:
    """A text, and what is labelled in it: good things, and what they are about."""
    text, entities, start = " ".join(words), [], 0
    for word, after in zip(words, [*words[1:], ""], strict=True):
        end = start + len(word)
        if word == "good":
            # "good film" is one thing.
            end += (1 + len(after)) * (after in ("film", "plot"))
            entities.append({"start": start, "end": end, "label": "PRAISE"})
        elif word == "long":
            entities.append({"start": start, "end": end, "label": "LENGTH"})
        start += len(word) + 1
    return {"text": text, "entities": entities}


def asked_words(words: list[str]) -> dict[str, Any]:
    """What is good, in a context of two windows? One in three has nothing good."""
    context = ["film" if word == "good" else word for word in (*words, *words[::-1], *words[:5])]
    answers = []
    if "good" in words:
        place = 3 * words.index("good")
        context[place : place + 1] = ["good", "plot"]
        start = sum(len(word) + 1 for word in context[:place])
        answers = [{"text": "good plot", "answer_start": start}]
    return {"question": words[0], "context": " ".join(context), "answers": answers}


def choices_row(words: list[str]) -> tuple[Any, ...]:
    """A text, what all choices begin with, two or three endings, and the place of the good one."""
    first, second, *others = words
    others = ["bad" if word == "good" else word for word in others]
    endings = [f"{others[0]} plot", f"{others[1]} short"][: 1 + (first in ("bad", "film"))]
    place = WORDS.index(second) % (1 + len(endings))
    endings.insert(place, f"good {others[2]}")
    return (first, second, *endings, *[""] * (3 - len(endings)), place)


CASES = {
    "classification": Case(
        task={"name": "classification", "class_weights": "balanced", "label_smoothing": 0.1},
        header="text,label",
        row=lambda words: (" ".join(words), "pos" if "good" in words else "neg"),
        metric="classification_accuracy",
        least=0.9,
        answers={"label", "score", "probabilities", "labels"},
        picture="confusion_matrix.png",
    ),
    "multi_label": Case(
        task={"name": "multi_label", "label_fields": ["good", "long"], "thresholds": "tuned"},
        header="text,good,long",
        row=lambda words: (" ".join(words), int("good" in words), int("long" in words)),
        metric="micro_f1",
        least=0.9,
        answers={"probabilities", "predicted", "thresholds", "labels"},
        picture="labels.png",
    ),
    "regression": Case(
        task={"name": "regression", "range": [0, 5]},
        header="text,other,label",
        row=lambda words: (" ".join(words[:3]), " ".join(words[3:]), round(5 * share(words), 2)),
        metric="pearson",
        least=0.8,
        answers={"score"},
        finetuning={"text_pair_field": "other"},
        picture="scatter.png",
        input_names=("text", "text_pair"),
    ),
    "token_labels": Case(
        task={"name": "token_labels"},
        header="",
        row=labelled_words,
        metric="micro_f1",
        least=0.9,
        answers={
            *("entity_starts", "entity_ends", "entity_labels", "entity_scores", "entity_texts"),
            *("num_entities", "labels"),
        },
        finetuning={},
        picture="labels.png",
    ),
    "question_answering": Case(
        task={"name": "question_answering", "n_best": 3},
        header="",
        row=asked_words,
        metric="exact_match",
        least=0.9,
        answers={
            *("answer", "start", "end", "score", "no_answer_margin"),
            *("n_best_answers", "n_best_starts", "n_best_ends", "n_best_scores"),
        },
        picture="thresholds.png",
        input_names=("question", "context"),
    ),
    "multiple_choice": Case(
        task={
            "name": "multiple_choice",
            "choice_fields": ["ending0", "ending1", "ending2"],
            "choice_prefix_field": "sent2",
        },
        header="sent1,sent2,ending0,ending1,ending2,label",
        row=choices_row,
        metric="multiple_choice_accuracy",
        least=0.9,
        answers={
            *("choice", "choice_text", "score", "probabilities", "num_choices", "status"),
        },
        finetuning={"text_field": "sent1"},
        picture="choices.png",
    ),
    "sequence_to_sequence": Case(
        task={
            "name": "sequence_to_sequence",
            "batch_tokens": 128,
            "decoding": {"beam_size": 3, "num_answers": 2, "max_length": 12},
        },
        header="source,target",
        row=lambda words: (" ".join(words), " ".join(OPPOSITES[word] for word in words)),
        metric="bleu",
        least=90.0,
        answers={
            *("generated_text", "score", "has_ended", "num_answers", "status"),
            *("n_best_texts", "n_best_scores", "n_best_log_probabilities", "n_best_lengths"),
        },
        model={"num_decoder_layers": 1, "initializer_range": 0.1},
        picture="texts.png",
    ),
    "embedding": Case(
        task={"name": "embedding", "is_symmetric": True, "matryoshka": {32: 1.0, 16: 0.5}},
        header="text,text_pair",
        row=lambda words: (" ".join(words), " ".join(OPPOSITES[word] for word in words)),
        metric="ndcg_at_10",
        least=0.9,
        answers={"embedding"},
        finetuning={"text_pair_field": "text_pair"},
        picture="ranks.png",
    ),
    "reranker": Case(
        task={"name": "reranker", "negative_fields": ["negative_1", "negative_2"]},
        header="text,text_pair,negative_1,negative_2",
        row=lambda words: (
            " ".join(words[:2]),
            " ".join(OPPOSITES[word] for word in words[:2]),
            *(" ".join(words[3:5]) + " bad bad", " ".join(words[:1] * 3)),
        ),
        metric="ndcg_at_10",
        least=0.9,
        answers={"score"},
        finetuning={"text_pair_field": "text_pair"},
        picture="ranks.png",
        input_names=("text", "text_pair"),
    ),
    "outside": Case(
        task={"name": "tests.tasks.agreement:Agreement", "percent": True},
        header="text,label",
        row=lambda words: (" ".join(words), round(100 * share(words))),
        metric="pearson",
        least=0.8,
        answers={"share"},
    ),
}


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.stdout


class Work:
    """A folder in which a task was trained, measured and exported through the command line."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        WordPieceTokenizer([*CONTROL_TOKENS, *WORDS]).save(folder / "vocab")
        draw = random.Random(1)
        for name, count in (("train", 400), ("eval", 80)):
            rows = [case.row(draw.choices(WORDS, k=6)) for _ in range(count)]
            if case.header:
                lines = [case.header, *(",".join(map(str, row)) for row in rows)]
            else:
                lines = [json.dumps(row) for row in rows]
            self.table(name).write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig")
        tree = {
            "model": SHAPE | case.model,
            "tokenizer": {"vocabulary": str(folder / "vocab")},
            "finetuning": {
                "task": case.task,
                "from_scratch": True,
                "train_path": str(self.table("train")),
                "eval_path": str(self.table("eval")),
                "max_seq_length": 16,
                "num_epochs": 12,
                "training": {
                    "batch_size": 16,
                    "precision": "float32",
                    "optimizer": {"learning_rate": 5e-3},
                },
                **case.finetuning,
            },
            "evaluation": {"model": str(folder / "model"), "data": str(self.table("eval"))},
            "export": {"model": str(folder / "model")},
            "gate": {"max_latency_ratio": None, "min_slice_size": 10},
            "tracking": {"enabled": False},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        for command, target in (("finetune", "model"), ("export", "served/texts")):
            self.run(command, "--output-dir", str(folder / target))

    def table(self, name: str) -> Path:
        return self.folder / f"{name}.{'csv' if self.case.header else 'jsonl'}"

    def run(self, *arguments: str) -> str:
        return run(*arguments, "--config", str(self.folder / "config.yaml"))

    @property
    def metrics(self) -> dict[str, float]:
        return json.loads((self.folder / "model" / "metrics.json").read_text())

    @property
    def rows(self) -> list[dict[str, str]]:
        """Inputs of some signature calls."""
        if self.case.task["name"] == "multiple_choice":
            choices = ["film bad plot\nfilm good plot", "good\nbad\nlong", "plot\nshort\ngood film"]
            return [{"text": "film", "choices": lines} for lines in choices]
        texts = ["good good film good plot good", "bad film", "long good plot"]
        return [
            dict(zip(self.case.input_names, [text, "good good good"], strict=False))
            for text in texts
        ]


@pytest.fixture(scope="module", params=CASES)
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(CASES[request.param], tmp_path_factory.mktemp(request.param))


def test_the_task_is_learnt_measured_and_reported(work):
    metrics, case = work.metrics, work.case
    assert metrics[case.metric] >= case.least, metrics
    assert metrics[f"{case.metric}_low"] <= metrics[case.metric] <= metrics[f"{case.metric}_high"]
    if case.picture:
        assert (work.folder / "model" / case.picture).read_bytes()[:4] == b"\x89PNG"
    assert list((work.folder / "model").glob("*.md"))


def test_evaluation_of_the_saved_model_gives_the_numbers_of_training(work, tmp_path):
    work.run("evaluate", "--output-dir", str(tmp_path))
    again = json.loads((tmp_path / "metrics.json").read_text())
    of_batches = ("loss", "embedding_loss", "embedding_accuracy")  # each among its own batch
    left_out = of_batches if work.case.task["name"] == "embedding" else ()
    wanted = {name: value for name, value in work.metrics.items() if name not in left_out}
    assert {name: again[name] for name in wanted} == pytest.approx(wanted, rel=1e-4)


def test_the_export_answers_as_the_model_in_memory_over_rest_and_grpc(work):
    from bert_tf.exporting.predict import predict_inputs

    rows = work.rows
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    expected = predict_inputs(work.folder / "served" / "texts", columns)
    assert set(expected[0]) == work.case.answers
    settings = ModelSettings(name="texts", base_path=work.folder / "served" / "texts")
    with LocalServer([settings], port=0, rest_api_port=0) as server:
        with RestClient(server.rest_url, model_name="texts") as client:
            over_rest = client.predict(instances=rows)
            typed = _typed(client, work.case, columns)
        with GrpcClient(server.grpc_address, model_name="texts") as client:
            over_grpc = client.predict(instances=rows)
    if typed is not None:
        assert typed == [_told(answer) for answer in over_rest]
    only = next(iter(work.case.answers)) if len(work.case.answers) == 1 else None
    for answers in (over_rest, over_grpc):
        named = [{only: answer} for answer in answers] if only else answers
        for answer, wanted in zip(named, expected, strict=True):
            assert answer.keys() == wanted.keys()
            for name, value in wanted.items():
                if isinstance(value, float):
                    assert answer[name] == pytest.approx(value, abs=1e-5)
                elif not isinstance(value, list) or isinstance(value[0], str | bool):
                    assert answer[name] == value


def _typed(client: RestClient, case: Case, columns: dict[str, list[str]]) -> Any:
    """What the client's method for the task gives; None for a task that it has none for."""
    methods = {
        "classification": (client.classify, lambda found: found.label),
        "multi_label": (client.predict_labels, lambda found: found.labels),
        "regression": (client.predict_scores, lambda found: found),
        "token_labels": (client.label_tokens, lambda found: [it.text for it in found]),
        "question_answering": (client.answer_questions, lambda found: found.answer.text),
        "sequence_to_sequence": (client.generate, lambda found: found.text),
    }
    if case.task["name"] == "multiple_choice":
        choices = [lines.split("\n") for lines in columns["choices"]]
        return [(found.number, found.text) for found in client.choose(columns["text"], choices)]
    if case.task["name"] not in methods:
        return None
    ask, told = methods[case.task["name"]]
    names = ("texts", "text_pairs") if case.input_names[0] == "text" else ("questions", "contexts")
    given = dict(zip(names, columns.values(), strict=False))
    return [told(found) for found in ask(**given)]


def _told(answer: Any) -> Any:
    """The same of an answer as REST gives it."""
    if not isinstance(answer, dict):
        return answer
    if "choice" in answer:
        return answer["choice"], answer["choice_text"]
    if "label" in answer:
        return answer["label"]
    if "generated_text" in answer:
        return answer["generated_text"]
    if "answer" in answer:
        return answer["answer"]
    if "entity_texts" in answer:
        return answer["entity_texts"][: answer["num_entities"]]
    pairs = zip(answer["labels"], answer["predicted"], strict=True)
    return tuple(name for name, holds in pairs if holds)


def test_a_version_is_registered_with_its_card_judged_and_a_worse_one_refused(
    work, tmp_path, monkeypatch
):
    uri = make_database(tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    served, model = str(work.folder / "served" / "texts"), str(work.folder / "model")
    run("registry", "register", "--model", served, "--name", "texts", "--run-dir", model)
    judged = ["registry", "gate", "--name", "texts", "--data", str(work.table("eval"))]
    work.run(*judged, "--version", "1", "--promote")
    untrained = ["--set", "finetuning.num_epochs=0.05", "--output-dir", str(tmp_path / "worse")]
    work.run("finetune", *untrained)
    exported = ["--set", f"export.model={tmp_path / 'worse'}", "--no-check"]
    work.run("export", *exported, "--output-dir", str(tmp_path / "worse_served"))
    worse, own_run = str(tmp_path / "worse_served"), str(tmp_path / "worse")
    run("registry", "register", "--model", worse, "--name", "texts", "--run-dir", own_run)
    config = ["--config", str(work.folder / "config.yaml")]
    run(*judged, "--version", "2", "--promote", *config, exit_code=3)
    assert registry.read_aliases(name="texts", tracking_uri=uri)["champion"] == 1
    from mlflow import MlflowClient

    card = MlflowClient(uri, registry_uri=uri).get_model_version("texts", "1").description
    assert "A BERT for" in card


FLOWS = ("token_labels", "question_answering", "reranker", "outside")
"""Tasks of texts and classes go through the flows of tests/pipelines, too."""


@pytest.mark.flows
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("work", FLOWS, indirect=True)
def test_a_flow_takes_their_tables_to_a_server(work, tmp_path, monkeypatch):
    _run_flow(work, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("work", sorted(CASES.keys() - set(FLOWS)), indirect=True)
def test_a_flow_takes_labelled_tables_to_a_server(work, tmp_path, monkeypatch):
    _run_flow(work, tmp_path, monkeypatch)


def _run_flow(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = make_database(tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings = [
        f"finetuning.pretrained={work.folder / 'model'}",
        "finetuning.from_scratch=false",
        "finetuning.train_path=null",
        "finetuning.eval_path=null",
        f"flow.labelled_paths=[{work.table('train')}]",
        f"flow.serving_dir={tmp_path / 'serving'}",
        "flow.model_name=texts",
        "flow.min_free_disk_gb=0.1",
    ]
    options = [word for setting in settings for word in ("--set", setting)]
    flow = ["pipeline", "run", "finetuning", "--output-dir", str(tmp_path / "flows")]
    config = ["--config", str(work.folder / "config.yaml"), *options]
    told = run(*flow, *config, "--json")
    assert json.loads(told)["status"] == "done"
    assert (tmp_path / "serving" / "texts" / "1" / "saved_model.pb").is_file()
    again = json.loads(run(*flow, *config, "--json"))
    assert again["status"] == "nothing_new"
    if work.case is not CASES["token_labels"]:
        return  # what a flow does with a gate's refusal is the same for all
    worse = ["--set", "finetuning.from_scratch=true", "--set", "finetuning.num_epochs=0.05"]
    refused = run(*flow, *config, *worse, "--json", exit_code=3)
    assert json.loads(refused)["status"] == "refused"


def test_hugging_face_s_format_holds_the_model(work, tmp_path):
    if ":" in work.case.task["name"]:
        pytest.skip("a head that Hugging Face has not")
    if work.case.task["name"] == "sequence_to_sequence":
        pytest.skip("decoders are not converted")
    source = str(work.folder / "model")
    there, back = tmp_path / "there", tmp_path / "back"
    run("convert", "--from", source, "--to", str(there), "--format", "huggingface")
    run("convert", "--from", str(there), "--to", str(back))
    tokens = {
        "input_ids": np.array([[2, 5, 6, 3]], np.int32),
        "input_mask": np.ones((1, 4), np.int32),
        "segment_ids": np.zeros((1, 4), np.int32),
    }
    ours, theirs = (load_model(folder)(tokens) for folder in (source, back))
    if isinstance(ours, dict):
        name = "logits" if "logits" in ours else "embedding"
        ours, theirs = ours[name], theirs[name]
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-6)
    kinds = [json.loads((Path(f) / "model.json").read_text())["kind"] for f in (source, back)]
    # These have no head of their own by which they could be told.
    plain = {"embedding": "encoder", "reranker": "regression"}
    assert plain.get(kinds[0], kinds[0]) == kinds[1]

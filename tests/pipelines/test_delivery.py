"""From an exported model to a server, step by step, at a real registry and a real server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bert_tf import registry
from bert_tf.config import Config, validate_config
from pipelines.engine.step import Context, Stop
from pipelines.steps import delivery as steps
from pipelines.steps.local_server import serve
from pipelines.steps.smoke_test import smoke_test
from tests.keyword_model import save_keyword
from tests.mlflow_stores import free_port, make_database

NAME = "reviews"
ROWS = [{"text": f"{word} {n}", "label": word} for n in range(60) for word in ("good", "bad")]


class Desk:
    """The folders of a flow, filled as if its steps had run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = make_database(folder / "mlflow.db")
        self.serving = folder / "serving"
        labelled = folder / "labelled"
        labelled.mkdir()
        lines = [json.dumps(row) + "\n" for row in ROWS]
        (labelled / "eval.jsonl").write_text("".join(lines))

    def config(self, **flow: object) -> Config:
        values = {"model_name": NAME, "serving_dir": str(self.serving), "num_smoke_texts": 4}
        return validate_config({"gate": {"max_latency_ratio": None}, "flow": values | flow})

    def train(self, word: str, mark: str) -> None:
        """A model that knows the word, as fine-tuned, measured and exported."""
        for name in ("finetune", "evaluate", "export"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        (self.folder / "finetune" / "metrics.json").write_text("{}")
        (self.folder / "evaluate" / "metrics.json").write_text('{"macro_f1": 0.5}')
        save_keyword(self.folder / "export" / "1", word)
        self.mark = mark

    def do(self, name: str, **flow: object) -> Stop | None:
        directory = self.folder / name
        directory.mkdir(exist_ok=True)
        others = [path for path in self.folder.iterdir() if path.is_dir() and path != directory]
        context = Context(
            config=self.config(**flow),
            directory=directory,
            folders={path.name: path for path in others},
            tracking_uri=self.uri,
            fingerprint=self.mark,
        )
        step = smoke_test if name == "smoke_test" else getattr(steps, name)
        return step(context)

    def deliver(self, word: str, mark: str, **flow: object) -> Stop | None:
        self.train(word, mark)
        for name in ("register", "gate", "publish"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            if stop := self.do(name, **flow):
                return stop
        return None

    @property
    def aliases(self) -> dict[str, int]:
        return registry.read_aliases(name=NAME, tracking_uri=self.uri)

    @property
    def served(self) -> list[str]:
        return sorted(path.name for path in (self.serving / NAME).glob("[0-9]*"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_better_model_is_served_and_a_worse_one_is_not(desk):
    assert desk.deliver("good 1", "a") is None
    assert desk.deliver("good", "b") is None
    assert desk.aliases == {"champion": 2, "previous": 1, "challenger": 2}
    assert desk.served == ["1", "2"]
    stop = desk.deliver("bad", "c")
    assert stop is not None
    assert stop.status == "refused"
    assert "reviews version 3: accuracy minus the champion's is -1" in stop.reason
    assert desk.aliases == {"champion": 2, "previous": 1, "challenger": 3}
    assert desk.served == ["1", "2"]


def test_steps_that_are_done_again_change_nothing(desk):
    assert desk.deliver("good", "a") is None
    for name in ("register", "gate", "publish", "register", "gate", "publish"):
        assert desk.do(name) is None
    assert len(registry.list_versions(name=NAME, tracking_uri=desk.uri)) == 1
    assert (desk.aliases["champion"], desk.served) == (1, ["1"])


def test_what_somebody_rolled_back_is_not_published_again(desk):
    desk.deliver("good 1", "a")
    desk.deliver("good", "b")
    registry.roll_back(name=NAME, tracking_uri=desk.uri)
    stop = desk.do("publish")
    assert stop == Stop("rolled_back", "reviews version 2 is not published: version 1 is champion")


@pytest.mark.flows
def test_old_versions_are_removed_where_that_is_wanted(desk):
    for mark in "abc":
        assert desk.deliver("good", mark, keep_served_versions=2) is None
    assert desk.served == ["2", "3"]


@pytest.fixture
def server(desk: Desk, tmp_path: Path) -> Iterator[str]:
    """A server of what is served, which has version 1 already."""
    assert desk.deliver("good 1", "a") is None
    with serve(desk.serving / NAME, log_dir=tmp_path) as (url, _):
        yield url


def test_the_server_must_have_the_version_and_answer_like_it(desk, server):
    desk.deliver("good", "b")
    assert desk.do("smoke_test", server_url=server) is None
    told = json.loads((desk.folder / "smoke_test" / "smoke_test.json").read_text())
    assert told == {"url": server, "num_texts": 4, "version": 2}
    # Another model at its place: what was exported is not what answers.
    desk.train("bad", "b")
    stop = desk.do("smoke_test", server_url=server)
    assert stop is not None
    assert stop.status == "rolled_back"
    assert "the server must answer as the SavedModel does" in stop.reason
    assert stop.reason.endswith("version 1 is back")
    assert desk.aliases == {"champion": 1, "challenger": 2}
    assert desk.served == ["1"]
    tags = registry.get_version(name=NAME, alias_or_version=2, tracking_uri=desk.uri).tags
    assert "the server must answer" in tags["smoke_test.reason"]
    again = desk.do("publish")
    assert again is not None
    assert "smoke test: the server must answer" in again.reason


@pytest.mark.flows
def test_a_version_that_does_not_load_is_taken_back(desk, server):
    desk.deliver("good", "b")
    (desk.serving / NAME / "2" / "saved_model.pb").write_bytes(b"broken")
    stop = desk.do("smoke_test", server_url=server, server_timeout_seconds=4.0)
    assert stop is not None
    assert "must be available within 4.0 s" in stop.reason
    assert (desk.aliases["champion"], desk.served) == (1, ["1"])


def test_no_server_says_nothing_about_the_model(desk):
    desk.deliver("good", "a")
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionError):
        desk.do("smoke_test", server_url=nobody, server_timeout_seconds=0.5)
    assert (desk.aliases["champion"], desk.served) == (1, ["1"])


def test_the_first_version_that_fails_leaves_no_champion(desk):
    desk.deliver("good", "a")
    (desk.serving / NAME / "1" / "saved_model.pb").write_bytes(b"broken")
    stop = desk.do("smoke_test", server_timeout_seconds=2.0)  # on a server of its own
    assert stop is not None
    assert stop.reason.endswith("nothing was served before")
    assert "champion" not in desk.aliases
    assert desk.served == []


class Encoders:
    """The registered encoders beside a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.name = desk, f"{NAME}-encoder"

    def register(self, number: int) -> None:
        """A version, as the step `register_encoder` would."""
        folder = self.desk.folder / "register_encoder"
        if number == 1:
            save_keyword(self.desk.folder / "encoder" / "1", "good")
        registry.register(
            self.desk.folder / "encoder" / "1", name=self.name, tracking_uri=self.desk.uri
        )
        folder.mkdir(exist_ok=True)
        registered = {"name": self.name, "version": number}
        (folder / "registered.json").write_text(json.dumps(registered))

    @property
    def champion(self) -> int:
        return registry.read_aliases(name=self.name, tracking_uri=self.desk.uri)["champion"]


@pytest.fixture
def encoders(desk: Desk) -> Encoders:
    """Two of them, each with a classifier that was made on it and served."""
    encoders = Encoders(desk)
    for number in (1, 2):
        encoders.register(number)
        assert desk.deliver("good", f"encoder {number}") is None
        assert encoders.champion == number
    version = registry.get_version(name=NAME, alias_or_version=2, tracking_uri=desk.uri)
    assert version.tags["encoder.version"] == "2"
    (desk.serving / NAME / "2" / "saved_model.pb").write_bytes(b"broken")
    return encoders


@pytest.mark.flows
def test_an_encoder_goes_back_with_its_classifier(desk, encoders):
    assert desk.do("smoke_test", server_timeout_seconds=2.0) is not None
    assert (encoders.champion, desk.aliases["champion"]) == (1, 1)


@pytest.mark.flows
def test_an_encoder_goes_back_in_a_later_run_than_that_which_made_it(desk, encoders):
    shutil.rmtree(desk.folder / "register_encoder")  # nothing is new to the encoder by then
    assert desk.do("smoke_test", server_timeout_seconds=2.0) is not None
    assert (encoders.champion, desk.aliases["champion"]) == (1, 1)


@pytest.mark.flows
def test_an_encoder_stays_where_only_the_classifier_was_new(desk, encoders):
    shutil.rmtree(desk.serving / NAME / "2")
    shutil.rmtree(desk.folder / "register_encoder")
    (desk.folder / "fetch_encoder").mkdir()
    origin = {"name": encoders.name, "version": 2}
    (desk.folder / "fetch_encoder" / registry.ORIGIN_FILE).write_text(json.dumps(origin))
    assert desk.deliver("good", "new labels") is None
    (desk.serving / NAME / desk.served[-1] / "saved_model.pb").write_bytes(b"broken")
    assert desk.do("smoke_test", server_timeout_seconds=2.0) is not None
    assert (encoders.champion, desk.aliases["champion"]) == (2, 2)

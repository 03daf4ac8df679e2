"""What the registry does not take leaves nothing there; what other tools left is listed."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from click.testing import CliRunner
from mlflow import MlflowClient

from bert_tf import registry
from bert_tf.cli.main import main
from bert_tf.config import FlowConfig
from bert_tf.config.registry_names import check_alias, check_name
from tests.mlflow_stores import make_database

NAMES = [
    *("", " ", "a/b", "a:b", "v1.2", ".", "..", ".promoting.reviews.1", "it's", 'a"b'),
    *("100%", "a\\b", "a@b", "a`b", "a?b", "a#b", "a*b", "a\nb", "a\tb", "a\x1b[1mb", " a", "a "),
    *("x" * 201, "한" * 67),
]
ALIASES = [
    *("", " ", "a/b", "my alias", "v1", "V12", "v1.2", "latest", "Latest", "LATEST", "1", "2026"),
    *("a.b", "a:b", "it's", "best!", "a\n", "x" * 256),
]
FOREIGN = [
    "it's",
    'say "it"',
    "a\"b'c",
    "100%",
    "a.b",
    "back\\slash",
    "semi;colon",
    "한국어",
    "a_b",
]
FOREIGN += [
    "new\nline",
    "tab\there",
    "\x1b[31mred",
    "[bold",
    "[/x]",
    "a/b",
    "x:y",
    "' OR name != '",
]


class Repeat(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def answer(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label": tf.identity(text)}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "1"
    module = Repeat()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer})
    return path


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_database(tmp_path / "registry.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/registry.db")
    return tmp_path / "registry.db"


@pytest.fixture
def uri(database: Path) -> str:
    return f"sqlite:///{database}"


def everything(uri: str) -> tuple[int, ...]:
    """Numbers of experiments, runs, logged models, registered models and versions."""
    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return (
        len(experiments),
        len(client.search_runs(experiments)),
        len(client.search_logged_models(experiments)),
        len(client.search_registered_models()),
        len(client.search_model_versions()),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_taken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"a registered model's name must have .* Received: "):
        check_name(name)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_that_is_not_taken_is_refused(alias: str) -> None:
    with pytest.raises(ValueError, match="an alias must be of letters"):
        check_alias(alias)


@pytest.mark.parametrize("name", ["reviews", "v2", "한국어_리뷰", "my reviews", "a-b", "x" * 200])
def test_a_name_that_is_taken_becomes_a_version(saved_model: Path, uri: str, name: str) -> None:
    version = registry.register(saved_model, name=name, tracking_uri=uri)
    registry.promote(name=name, version=1, alias="v2-candidate_가", tracking_uri=uri)
    (listed,) = registry.list_versions(tracking_uri=uri)
    assert (listed.name, listed.version, listed.aliases) == (name, 1, ("v2-candidate_가",))
    assert registry.list_versions(name=name, tracking_uri=uri) == [listed]
    assert version.run_id == listed.run_id


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a/b"},
        {"name": "it's"},
        {"name": "v1.2"},
        {"tags": {"what?!": "no"}},
        {"tags": {"": "no"}},
        {"tags": {"x" * 251: "no"}},
        {"metrics": {"f1?": 0.5}},
        {"metrics": {"f1": "much"}},
        {"metrics": {"f1": None}},
        {"metrics": {"../f1": 0.5}},
        {"experiment": ""},
        {"run_id": "../x"},
        {"fingerprint": "x" * 200_000},
        {"files": ["no_such_file"]},
        {"files": ["a/metrics.json", "b/metrics.json"]},
        {"model_dir": "no_such_folder"},
    ],
    ids=str,
)
def test_what_is_refused_leaves_nothing(
    saved_model: Path, uri: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "metrics.json").write_text("{}")
    before = everything(uri)
    with pytest.raises((ValueError, FileNotFoundError), match="Received: "):
        registry.register(
            saved_model,
            **{"name": "reviews", "experiment": "a new one", "tracking_uri": uri} | options,
        )
    assert everything(uri) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "reviews", "--alias", "my alias"),
        ("--name", "reviews", "--alias", "latest"),
        ("--name", "reviews", "--alias", "v1"),
        ("--name", "reviews", "--alias", ""),
        ("--name", "it's"),
        ("--name", ""),
    ],
)
def test_the_command_refuses_before_anything_is_made(
    saved_model: Path, uri: str, arguments: tuple[str, ...]
) -> None:
    before = everything(uri)
    result = CliRunner().invoke(
        main, ["registry", "register", "--model", str(saved_model), *arguments]
    )
    assert (result.exit_code, everything(uri)) == (2, before), result.output
    assert "Received: " in " ".join(result.output.split())


def test_a_promotion_to_an_alias_that_is_not_taken_moves_nothing(
    saved_model: Path, uri: str
) -> None:
    for _ in range(2):
        registry.register(saved_model, name="reviews", tracking_uri=uri)
    registry.promote(name="reviews", version=1, tracking_uri=uri)
    for alias in ALIASES:
        with pytest.raises(ValueError, match="an alias must be"):
            registry.promote(name="reviews", version=2, alias=alias, tracking_uri=uri)
    with pytest.raises(ValueError, match="MLflow must take"):
        registry.set_tags(
            name="reviews", version=1, tags={"good": "1", "b?d": "2"}, tracking_uri=uri
        )
    first, second = registry.list_versions(tracking_uri=uri)
    assert (first.aliases, first.tags, second.aliases) == (("champion",), {}, ())


@pytest.fixture
def foreign_names(database: Path, uri: str) -> None:
    """Models as other tools make them, and names that MLflow's versions to come may take."""
    client = MlflowClient(uri)
    client.create_registered_model("plain")
    client.create_model_version("plain", source="file:///x", tags={"metric.f1": "high"})
    with sqlite3.connect(database) as connection:
        for name in FOREIGN:
            for table, column in (("registered_models", "name"), ("model_versions", "name")):
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                others = ", ".join(other for other in columns if other != column)
                connection.execute(
                    f"INSERT INTO {table} ({column}, {others}) SELECT ?, {others} FROM {table} "
                    "WHERE name = 'plain'",
                    (name,),
                )
        connection.execute(
            "INSERT INTO registered_model_aliases (name, alias, version, workspace) "
            "SELECT name, 'champion', 1, workspace FROM registered_models"
        )


@pytest.mark.usefixtures("foreign_names")
def test_names_of_other_tools_are_listed(uri: str) -> None:
    versions = registry.list_versions(tracking_uri=uri)
    assert {version.name for version in versions} == {"plain", *FOREIGN}
    assert {version.aliases for version in versions} == {("champion",)}
    for version in versions:
        name = version.name
        assert registry.list_versions(name=name, tracking_uri=uri) == [version]
        found = registry.get_version(name=name, alias_or_version="champion", tracking_uri=uri)
        assert found.version == 1
    (plain,) = registry.list_versions(name="plain", tracking_uri=uri)
    assert (plain.metrics, plain.tags) == ({}, {"metric.f1": "high"})


@pytest.mark.usefixtures("foreign_names")
def test_a_listing_has_a_line_a_version_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = CliRunner().invoke(main, ["registry", "list"]).stdout.splitlines()
    assert len(lines) == len(FOREIGN) + 1
    assert all(len(line.split("\t")) == 6 for line in lines)
    assert any(line.startswith("new\\nline\t1\tchampion\t") for line in lines)
    assert not any("\x1b" in line for line in lines)
    objects = CliRunner().invoke(main, ["registry", "list", "--json"])
    assert (objects.exit_code, len(objects.stdout.splitlines())) == (0, len(lines))


def test_the_table_shows_names_as_they_are() -> None:
    from datetime import UTC, datetime
    from io import StringIO

    from rich.console import Console

    from bert_tf.cli.registry import make_table

    versions = [
        registry.RegisteredVersion(
            name=name,
            version=1,
            aliases=(),
            metrics={"[/f1]": 0.5},
            tags={},
            created_at=datetime.now(UTC),
            run_id=None,
            model_id=None,
        )
        for name in ("[/x]", "[bold]", "\x1b[31mred")
    ]
    console = Console(width=120, file=StringIO())
    console.print(make_table(versions))
    shown = console.file.getvalue()
    assert all(name in shown for name in ("[/x]", "[bold]", "\\x1b[31mred", "[/f1] 0.5"))


@pytest.mark.parametrize("name", ["v1.2", "x" * 201])
@pytest.mark.parametrize("field", ["model_name", "encoder_name"])
def test_a_flow_refuses_a_name_that_its_last_steps_could_not_register(
    field: str, name: str
) -> None:
    with pytest.raises(ValueError, match="a registered model's name must"):
        FlowConfig(**{field: name})


def test_a_flows_encoder_has_room_for_its_ending() -> None:
    assert FlowConfig(model_name="x" * 192).encoder == "x" * 192 + "-encoder"
    with pytest.raises(ValueError, match="at most 200 bytes"):
        FlowConfig(model_name="x" * 193)

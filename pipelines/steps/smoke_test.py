"""The step that asks the server about the published version, and rolls back where that fails."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bert_tf import registry
from bert_tf.exporting import object_store
from bert_tf.exporting.version_folders import newest_version
from pipelines.engine.json_files import read_json, write_json
from pipelines.engine.step import Context, Stop
from pipelines.steps.delivery import (
    REGISTERED_FILE,
    SMOKE_TAG,
    publish_champion,
    read_published,
)
from pipelines.steps.ingest import held_out_examples
from pipelines.steps.local_server import serve

log = logging.getLogger(__name__)

SMOKE_TEST_FILE = "smoke_test.json"


class _FailedError(Exception):
    """The published version does not load, or does not answer as the SavedModel does."""


def smoke_test(context: Context) -> Stop | None:
    """The server is asked over REST and must answer as the SavedModel does; else all goes back.

    Raises:
        ConnectionError: no server is there, which says nothing about the model.
    """
    published = read_published(context)
    try:
        with _server(context, published["path"]) as (url, number):
            num_texts = _ask(context, url, number)
    except _FailedError as error:
        return _roll_back(context, published, reason=f"smoke test: {error}")
    write_json(context.directory / SMOKE_TEST_FILE, url=url, num_texts=num_texts, version=number)
    return None


@contextlib.contextmanager
def _server(context: Context, path: str) -> Iterator[tuple[str, int]]:
    """Address of the server and the number that it must have."""
    flow, number = context.config.flow, int(path.rstrip("/").rpartition("/")[2])
    if flow.server_url is not None:
        yield flow.server_url, number
    else:
        with contextlib.ExitStack() as stack:
            server = serve(
                Path(path).parent,
                log_dir=context.directory,
                timeout_seconds=flow.server_timeout_seconds,
            )
            try:
                url, _ = stack.enter_context(server)
            except RuntimeError as error:  # It was started for this version, which does not load.
                raise _FailedError(str(error)) from error
            yield url, number


def _ask(context: Context, url: str, number: int) -> int:
    """Compare the server's answers with the SavedModel's; the number of texts asked."""
    from bert_tf.exporting.precision import SCORE_TOLERANCE
    from bert_tf.exporting.predict import predict_inputs
    from bert_tf.tasks.table import open_task
    from serving.client import RestClient
    from serving.errors import ServingError, UnavailableError

    flow, task = context.config.flow, open_task(context.config.finetuning)
    examples = held_out_examples(context, task)
    texts_of = task.asked(examples)
    asked = {name: texts[: flow.num_smoke_texts] for name, texts in texts_of.items()}
    rows = [dict(zip(asked, row, strict=True)) for row in zip(*asked.values(), strict=True)]
    expected = predict_inputs(newest_version(context.folder("export")), asked)
    with RestClient(url, model_name=flow.model_name, version=number) as client:
        try:
            client.wait_until_available(flow.server_timeout_seconds)
        except UnavailableError as error:
            with RestClient(url, model_name=flow.model_name, num_retries=0) as other:
                other.status()  # Raises UnavailableError itself where no server is.
            raise _FailedError(str(error)) from error
        try:
            answers = client.predict(instances=rows)
        except UnavailableError:
            raise
        except ServingError as error:
            raise _FailedError(str(error)) from error
    for row, answer, wanted in zip(rows, answers, expected, strict=True):
        # TensorFlow Serving drops the name of an only output.
        received = answer if isinstance(answer, dict) else dict.fromkeys(wanted, answer)
        difference = task.disagreement(wanted, received, tolerance=SCORE_TOLERANCE)
        if difference is not None:
            raise _FailedError(
                "the server must answer as the SavedModel does. Received: for "
                f"{next(iter(row.values()))[:40]!r} {difference}."
            )
    return len(answers)


def _roll_back(context: Context, published: dict[str, Any], *, reason: str) -> Stop:
    """The version before is champion and served again; the failed one is out of sight."""
    name, version = published["name"], published["version"]
    uri, path = context.tracking_uri, published["path"]
    log.error("%s version %d: %s", name, version, reason)
    registry.set_tags(name=name, version=version, tags={SMOKE_TAG: reason[:1000]}, tracking_uri=uri)
    if not object_store.is_url(path):
        _withdraw(Path(path))
    before = _champion_before(name, version, uri)
    if encoder := _encoder_that_came_along(context, version, before):
        _champion_before(*encoder, uri)
    if before is None:
        return Stop("rolled_back", f"{name} version {version}: {reason}; nothing was served before")
    publish_champion(context)
    return Stop("rolled_back", f"{name} version {version}: {reason}; version {before} is back")


def _encoder_that_came_along(
    context: Context, version: int, before: int | None
) -> tuple[str, int] | None:
    """Name and version of the encoder that became champion with the classifier's `version`.

    It was registered in this run, or in an earlier one that failed between gate and smoke test: the
    version before was made on another one then.
    """
    folder = context.find("register_encoder")
    if folder is not None:
        registered = read_json(folder / REGISTERED_FILE)
        return registered["name"], registered["version"]
    if before is None:
        return None
    encoder, earlier = (_encoder_of(context, number) for number in (version, before))
    return encoder if encoder != earlier else None


def _encoder_of(context: Context, version: int) -> tuple[str, int] | None:
    tags = registry.get_version(
        name=context.config.flow.model_name,
        alias_or_version=version,
        tracking_uri=context.tracking_uri,
    ).tags
    if "encoder.name" not in tags:
        return None
    return tags["encoder.name"], int(tags["encoder.version"])


def _champion_before(name: str, version: int, tracking_uri: str) -> int | None:
    """Make the version before `version` champion; None, and no champion, where there is none."""
    aliases = registry.read_aliases(name=name, tracking_uri=tracking_uri)
    if aliases.get(registry.CHAMPION) != version:  # an interrupted attempt was here
        return aliases.get(registry.CHAMPION)
    if registry.PREVIOUS not in aliases:
        registry.remove_alias(name=name, alias=registry.CHAMPION, tracking_uri=tracking_uri)
        return None
    back = registry.roll_back(name=name, tracking_uri=tracking_uri)
    # A roll-back by hand must not lead to what has failed.
    registry.remove_alias(name=name, alias=registry.PREVIOUS, tracking_uri=tracking_uri)
    return back.version


def _withdraw(path: Path) -> None:
    """A server must see a version go at once, not file by file."""
    hidden = path.with_name(f".withdrawn-{path.name}")
    if path.is_dir():
        path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)

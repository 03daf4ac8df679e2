"""Steps from an exported model to answers of a server: registered, judged, published, asked.

Every step may be cut off at any point and done again: a version is not registered twice, an alias
not moved twice, a version not published twice.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf import registry
from bert_tf.export import object_store
from bert_tf.export.versions import newest_version
from bert_tf.files import write_whole
from bert_tf.training.provenance import ORIGIN_FILE
from pipelines.ingest import EVAL_FILE
from pipelines.local_server import serve
from pipelines.step import Context, Stop

if TYPE_CHECKING:
    from bert_tf.data.batches.tasks import LabelledText
    from bert_tf.registry.gate import Judgement

log = logging.getLogger(__name__)

REGISTERED_FILE, GATE_FILE, PUBLISHED_FILE = "registered.json", "gate.json", "published.json"
SMOKE_TEST_FILE = "smoke_test.json"
SMOKE_TAG = "smoke_test.reason"
"""Of a version that failed it."""
_REGISTERED_ENCODER = "register_encoder|fetch_encoder"
_SCORE_TOLERANCE = 1e-3


# --- the encoder's way in and out


def fetch_encoder(context: Context) -> None:
    """The registered encoder's model folder."""
    flow = context.config.flow
    registry.fetch_model(
        name=flow.encoder,
        alias_or_version=flow.encoder_alias,
        output_dir=context.directory,
        tracking_uri=context.tracking_uri,
    )


def encoder_version(context: Context) -> dict[str, Any]:
    """Which version that is now."""
    flow = context.config.flow
    try:
        version = registry.get_version(
            name=flow.encoder,
            alias_or_version=flow.encoder_alias,
            tracking_uri=context.tracking_uri,
        )
    except ValueError as error:
        raise ValueError(
            f"{error} The flows `pretraining` and `domain_adaptation` register an encoder."
        ) from error
    return {"name": version.name, "version": version.version, "model_id": version.model_id}


def is_encoder_given(context: Context) -> str | None:
    """Why none is fetched."""
    given = context.config.finetuning.pretrained
    return given and f"finetuning.pretrained is {given}"


def register_encoder(context: Context) -> None:
    """The encoder as a version, with the model folder that training goes on from.

    It is `challenger` until a classifier made on it passes the gate; the first one is `champion` at
    once, since there must be one to begin with.
    """
    flow, uri = context.config.flow, context.tracking_uri
    version = registry.register(
        newest_version(context.folder("export_encoder")),
        name=flow.encoder,
        tracking_uri=uri,
        model_dir=context.folder("continue_pretraining|pretrain"),
        fingerprint=context.fingerprint,
        tags=_encoder_tags(context.find("fetch_encoder")),
        **registry.read_training(context.folder("continue_pretraining|pretrain")),
    )
    is_first = registry.CHAMPION not in registry.read_aliases(name=flow.encoder, tracking_uri=uri)
    alias = registry.CHAMPION if is_first else registry.CHALLENGER
    registry.promote(name=flow.encoder, version=version.version, alias=alias, tracking_uri=uri)
    _write(context.directory / REGISTERED_FILE, name=flow.encoder, version=version.version)


def _encoder_tags(folder: Path | None) -> dict[str, Any]:
    """The registered encoder in `folder` as tags of what is made from it."""
    for path in [folder / REGISTERED_FILE, folder / ORIGIN_FILE] if folder else []:
        if path.is_file():
            origin = _read(path)
            return {"encoder.name": origin["name"], "encoder.version": origin["version"]}
    return {}


# --- the classifier's way to the server


def register(context: Context) -> None:
    """The classifier as a version: SavedModel, metrics, files, card, the encoder it comes from."""
    training = registry.read_training(context.folder("finetune"))
    measured = context.folder("evaluate") / "metrics.json"
    version = registry.register(
        newest_version(context.folder("export")),
        name=context.config.flow.model_name,
        tracking_uri=context.tracking_uri,
        fingerprint=context.fingerprint,
        tags=_encoder_tags(context.find(_REGISTERED_ENCODER)),
        **(training | {"metrics": _read(measured)}),
    )
    _write(
        context.directory / REGISTERED_FILE,
        name=version.name,
        version=version.version,
        run_id=version.run_id,
    )


def gate(context: Context) -> Stop | None:
    """Challenger against champion on held-out texts; who passes is champion from then on."""
    from bert_tf.registry.gate import promote_judged

    name, version = _registered(context)
    uri, path = context.tracking_uri, context.directory / GATE_FILE
    if not (
        path.is_file()
        and registry.read_aliases(name=name, tracking_uri=uri).get(registry.CHAMPION) == version
    ):
        judgement = _judge(context, name, version)
        decision = judgement.decision
        content = {"version": version, "champion": judgement.champion} | decision.as_json()
        _write(path, **content)
        write_whole(path.with_suffix(".md"), decision.as_markdown() + "\n")
        if not decision.has_passed:
            return Stop("refused", f"{name} version {version}: {decision.reason}")
        promote_judged(judgement, tracking_uri=uri)
    _promote_encoder(context)
    return None


def _judge(context: Context, name: str, version: int) -> "Judgement":
    from bert_tf.registry.gate import judge

    config, source_field = context.config, context.config.flow.source_field
    return judge(
        name=name,
        alias_or_version=version,
        texts=_eval_texts(context),
        sources=_eval_texts(context, label_field=source_field).labels if source_field else None,
        config=config.gate,
        seed=config.seed,
        tracking_uri=context.tracking_uri,
    )


def _promote_encoder(context: Context) -> None:
    """An encoder is as good as the classifier that was made on it."""
    folder = context.find("register_encoder")
    if folder is None:
        return
    encoder = _read(folder / REGISTERED_FILE)
    registry.promote(
        name=encoder["name"], version=encoder["version"], tracking_uri=context.tracking_uri
    )


def publish(context: Context) -> Stop | None:
    """The champion where the server looks. Where it is already, nothing happens."""
    from bert_tf.export.rollout import prune

    name, version = _registered(context)
    flow, uri = context.config.flow, context.tracking_uri
    champion = registry.read_aliases(name=name, tracking_uri=uri).get(registry.CHAMPION)
    if champion != version:
        tags = registry.get_version(name=name, alias_or_version=version, tracking_uri=uri).tags
        reason = tags.get(SMOKE_TAG) or f"version {champion} is champion"
        return Stop("rolled_back", f"{name} version {version} is not published: {reason}")
    before = context.directory / PUBLISHED_FILE
    is_on_store = object_store.is_url(str(flow.serving_dir))
    if is_on_store and before.is_file() and _read(before)["version"] == version:
        return None  # A store is not asked what it has.
    path = _publish_champion(context)
    if flow.keep_served_versions is not None and not is_on_store:
        prune(Path(path).parent, keep=flow.keep_served_versions)
    _write(before, path=path, name=name, version=version)
    return None


def _publish_champion(context: Context) -> str:
    """Its address in `serving_dir`. On disk nothing happens where it is the newest already."""
    flow = context.config.flow
    base = str(flow.serving_dir)
    chosen: dict[str, Any] = {
        "name": flow.model_name,
        "alias_or_version": registry.CHAMPION,
        "tracking_uri": context.tracking_uri,
    }
    if object_store.is_url(base):
        return registry.publish_to_store(base_url=base, **chosen)
    return str(registry.publish(base_dir=Path(base).absolute(), **chosen))


def is_not_served(context: Context) -> str | None:
    """Why nothing is published."""
    return None if context.config.flow.serving_dir else "flow.serving_dir is not set"


def read_published(context: Context) -> dict[str, Any]:
    """`path`, `name` and `version` of what the step `publish` put into place."""
    return _read(context.folder("publish") / PUBLISHED_FILE)


def smoke_test(context: Context) -> Stop | None:
    """The server is asked over REST and must answer as the SavedModel does; else all goes back.

    Raises:
        ConnectionError: no server is there, which says nothing about the model.
    """
    from serving.errors import ServingError, UnavailableError

    published = read_published(context)
    try:
        with _server(context, published["path"]) as (url, number):
            num_texts = _ask(context, url, number)
    except UnavailableError:
        raise  # Nobody is there: `_ask` tells that apart from a version that does not come.
    except (ServingError, ValueError) as error:
        return _roll_back(context, published, reason=f"smoke test: {error}")
    _write(context.directory / SMOKE_TEST_FILE, url=url, num_texts=num_texts, version=number)
    return None


@contextlib.contextmanager
def _server(context: Context, path: str) -> Iterator[tuple[str, int]]:
    """Address of the server and the number that it must have."""
    flow, number = context.config.flow, int(path.rstrip("/").rpartition("/")[2])
    if flow.server_url is not None:
        yield flow.server_url, number
    elif object_store.is_url(path):
        raise ValueError(
            f"flow.server_url must be set where flow.serving_dir is on a store. Received: {path}."
        )
    else:
        try:
            with serve(
                Path(path).parent,
                log_dir=context.directory,
                timeout_seconds=flow.server_timeout_seconds,
            ) as (url, _):
                yield url, number
        except RuntimeError as error:  # the one version that the server was started for is no good
            raise ValueError(str(error)) from error


def _ask(context: Context, url: str, number: int) -> int:
    """Compare the server's answers with the SavedModel's; how many."""
    from bert_tf.export.predict import predict_texts
    from serving.client import RestClient
    from serving.errors import InternalError, UnavailableError

    flow, texts = context.config.flow, _eval_texts(context)
    asked: dict[str, Any] = {"texts": texts.texts[: flow.num_smoke_texts]}
    if texts.text_pairs is not None:
        asked["text_pairs"] = texts.text_pairs[: flow.num_smoke_texts]
    expected = predict_texts(newest_version(context.folder("export")), **asked)
    with RestClient(url, model_name=flow.model_name, version=number) as client:
        try:
            client.wait_until_available(flow.server_timeout_seconds)
        except UnavailableError as error:
            with RestClient(url, model_name=flow.model_name, num_retries=0) as other:
                other.status()  # Raises UnavailableError itself where no server is.
            raise InternalError(str(error)) from error
        answers = client.predict_texts(**asked)
    for text, answer, wanted in zip(asked["texts"], answers, expected, strict=True):
        difference = abs(answer["score"] - wanted["score"])
        if answer["label"] != wanted["label"] or difference > _SCORE_TOLERANCE:
            raise ValueError(
                f"the server must answer as the SavedModel does, {wanted['label']} "
                f"({wanted['score']:.4f}) for {text[:40]!r}. Received: {answer['label']} "
                f"({answer['score']:.4f})."
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
    encoder = context.find("register_encoder")
    if encoder is not None:
        registered = _read(encoder / REGISTERED_FILE)
        _champion_before(registered["name"], registered["version"], uri)
    if before is None:
        return Stop("rolled_back", f"{name} version {version}: {reason}; nothing was served before")
    _publish_champion(context)
    return Stop("rolled_back", f"{name} version {version}: {reason}; version {before} is back")


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


# --- what they share


def served_bytes(context: Context) -> int:
    """A copy of the SavedModel, and one more on its way."""
    folder = context.find("export|export_encoder")
    files = [] if folder is None else newest_version(folder).rglob("*")
    return 2 * sum(path.stat().st_size for path in files if path.is_file())


def _eval_texts(context: Context, *, label_field: str | None = None) -> "LabelledText":
    """Texts that no version was trained on; `label_field` names another column for labels."""
    from bert_tf.data.batches.tasks import read_labelled

    section, folder = context.config.finetuning, context.find("labelled")
    return read_labelled(
        str(section.eval_path) if folder is None else folder / EVAL_FILE,
        text_field=section.text_field,
        text_pair_field=section.text_pair_field,
        label_field=label_field or section.label_field,
    )


def _registered(context: Context) -> tuple[str, int]:
    registered = _read(context.folder("register") / REGISTERED_FILE)
    return registered["name"], registered["version"]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write(file: Path, **content: Any) -> None:
    write_whole(file, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

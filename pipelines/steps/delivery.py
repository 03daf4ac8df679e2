"""Steps from an exported model to the server's folder: register, gate, publish.

Every step may be cut off at any point and done again: a version is not registered twice, an alias
not moved twice, a version not published twice.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf import registry
from bert_tf.exporting import object_store
from bert_tf.exporting.version_folders import newest_version
from bert_tf.system.files import folder_bytes, write_whole
from bert_tf.tracking.provenance import ORIGIN_FILE
from pipelines.engine.json_files import read_json, write_json
from pipelines.engine.step import Context, Stop
from pipelines.steps.ingest import held_out_examples
from pipelines.steps.training import TRAINED_ENCODER

if TYPE_CHECKING:
    from bert_tf.registry.judging import Judgement

REGISTERED_FILE, GATE_FILE, PUBLISHED_FILE = "registered.json", "gate.json", "published.json"
SMOKE_TAG = "smoke_test.reason"
"""Of a version that failed it."""
_REGISTERED_ENCODER = "register_encoder|fetch_encoder"


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
        model_dir=context.folder(TRAINED_ENCODER),
        fingerprint=context.fingerprint,
        tags=_encoder_tags(context.find("fetch_encoder")),
        **registry.read_training(context.folder(TRAINED_ENCODER)),
    )
    is_first = registry.CHAMPION not in registry.read_aliases(name=flow.encoder, tracking_uri=uri)
    alias = registry.CHAMPION if is_first else registry.CHALLENGER
    registry.promote(name=flow.encoder, version=version.version, alias=alias, tracking_uri=uri)
    write_json(context.directory / REGISTERED_FILE, name=flow.encoder, version=version.version)


def _encoder_tags(folder: Path | None) -> dict[str, Any]:
    """The registered encoder in `folder` as tags of what is made from it."""
    for path in [folder / REGISTERED_FILE, folder / ORIGIN_FILE] if folder else []:
        if path.is_file():
            origin = read_json(path)
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
        **(training | {"metrics": read_json(measured)}),
    )
    write_json(
        context.directory / REGISTERED_FILE,
        name=version.name,
        version=version.version,
        run_id=version.run_id,
    )


def gate(context: Context) -> Stop | None:
    """Challenger against champion on held-out texts; who passes is champion from then on."""
    from bert_tf.registry.judging import promote_judged

    name, version = _registered(context)
    uri, path = context.tracking_uri, context.directory / GATE_FILE
    if not (
        path.is_file()
        and registry.read_aliases(name=name, tracking_uri=uri).get(registry.CHAMPION) == version
    ):
        judgement = _judge(context, name, version)
        decision = judgement.decision
        content = {"version": version, "champion": judgement.champion} | decision.as_json()
        write_json(path, **content)
        write_whole(path.with_suffix(".md"), decision.as_markdown() + "\n")
        if not decision.has_passed:
            return Stop("refused", f"{name} version {version}: {decision.reason}")
        promote_judged(judgement, tracking_uri=uri)
    _promote_encoder(context)
    return None


def _judge(context: Context, name: str, version: int) -> "Judgement":
    from bert_tf.data.tables.values import texts_of
    from bert_tf.registry.judging import judge
    from bert_tf.tasks.table import open_task

    config, source_field = context.config, context.config.flow.source_field
    task = open_task(config.finetuning)
    examples = held_out_examples(context, task)
    sources = None
    if source_field is not None:
        sources = texts_of(examples.table, source_field, key="flow.source_field")
    return judge(
        name=name,
        alias_or_version=version,
        examples=examples,
        task=task,
        sources=sources,
        config=config.gate,
        seed=config.seed,
        tracking_uri=context.tracking_uri,
    )


def _promote_encoder(context: Context) -> None:
    """An encoder is as good as the classifier that was made on it."""
    folder = context.find("register_encoder")
    if folder is None:
        return
    encoder = read_json(folder / REGISTERED_FILE)
    registry.promote(
        name=encoder["name"], version=encoder["version"], tracking_uri=context.tracking_uri
    )


def publish(context: Context) -> Stop | None:
    """The champion where the server looks. Where it is already, nothing happens."""
    from bert_tf.exporting.rollout import prune

    name, version = _registered(context)
    flow, uri = context.config.flow, context.tracking_uri
    champion = registry.read_aliases(name=name, tracking_uri=uri).get(registry.CHAMPION)
    if champion != version:
        tags = registry.get_version(name=name, alias_or_version=version, tracking_uri=uri).tags
        now = f"version {champion} is champion" if champion else "no version is champion"
        reason = tags.get(SMOKE_TAG) or now
        return Stop("rolled_back", f"{name} version {version} is not published: {reason}")
    before = context.directory / PUBLISHED_FILE
    is_on_store = object_store.is_url(str(flow.serving_dir))
    if is_on_store and before.is_file() and read_json(before)["version"] == version:
        return None  # A store is not asked what it has.
    path = publish_champion(context)
    if flow.keep_served_versions is not None and not is_on_store:
        prune(Path(path).parent, keep=flow.keep_served_versions)
    write_json(before, path=path, name=name, version=version)
    return None


def publish_champion(context: Context) -> str:
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
    return read_json(context.folder("publish") / PUBLISHED_FILE)


# --- what they share


def served_bytes(context: Context) -> int:
    """A copy of the SavedModel, and one more on its way."""
    return 2 * folder_bytes(newest_version(context.folder("export")))


def _registered(context: Context) -> tuple[str, int]:
    registered = read_json(context.folder("register") / REGISTERED_FILE)
    return registered["name"], registered["version"]

"""The gate at the registry: a challenger beside the champion, and the decision kept with it.

    judge     both are fetched and asked the same labelled texts; gate.json and gate.md go into the
              challenger's run, whether it passed and why into its tags
    promote_judged   the challenger becomes champion, if it passed and the champion is still the
              one that it was compared with

Errors: as in the package; `ValueError` also for data that does not fit the model.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_tf import registry
from bert_tf.config import FinetuningConfig, GateConfig
from bert_tf.data.inspection.text_profile import PROFILE_FILE, TextProfile
from bert_tf.gate.decision import DECISION_FILE, Decision, decide
from bert_tf.gate.predictions import predict
from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription
from bert_tf.registry.lookup import find_model, find_version, open_registry
from bert_tf.system.json_files import parse_json, validated
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import open_task, task_of

PASSED_TAG, REASON_TAG, AGAINST_TAG = "gate.has_passed", "gate.reason", "gate.champion"
_TAG_CHARACTERS = 4000  # MLflow takes 5,000
_ARTIFACT_FOLDER = "gate"


@dataclass(frozen=True)
class Judgement:
    """A decision, and whom it is about."""

    name: str
    version: int
    champion: int | None
    """The version it was compared with; None where there was none."""
    decision: Decision


def judge(
    *,
    name: str,
    alias_or_version: str | int,
    examples: Examples,
    task: Task,
    config: GateConfig,
    tracking_uri: str,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Judgement:
    """Compare a version with the champion on `examples` of `task`, and keep the decision.

    A version that is the champion itself is judged alone; any other gets the alias `challenger`.
    """
    task.metric(config.metric)  # a name that is none is told before anything is fetched
    with open_registry(tracking_uri) as client, tempfile.TemporaryDirectory() as scratch:
        version = find_version(client, name, alias_or_version)
        holder = find_model(client, name).aliases.get(registry.CHAMPION)
        champion_version = None if holder is None else int(holder)
        is_champion = champion_version == int(version.version)
        compared_with = None if is_champion else champion_version
        if not is_champion:
            client.set_registered_model_alias(name, registry.CHALLENGER, version.version)

        def predictions_of(number: Any) -> Any:
            folder = Path(scratch) / str(number)
            saved_model = registry.fetch(
                name=name, alias_or_version=number, output_dir=folder, tracking_uri=tracking_uri
            )
            return predict(saved_model, examples, task)

        champion = predictions_of(compared_with) if compared_with else None
        decision = decide(
            predictions_of(version.version),
            champion,
            task=task,
            config=config,
            sources=sources,
            training_profile=_profile(client, name, compared_with) if compared_with else None,
            seed=seed,
        )
        _keep(client, version, decision, compared_with)
    return Judgement(name, int(version.version), compared_with, decision)


def task_of_version(
    section: FinetuningConfig, *, name: str, alias_or_version: str | int, tracking_uri: str
) -> Task:
    """The task of a registered version with its settings; of one that does not say, `section`'s."""
    path = f"assets.extra/{DESCRIPTION_FILE}"
    files = registry.read_files(
        name=name, alias_or_version=alias_or_version, paths=[path], tracking_uri=tracking_uri
    )
    task = None
    if path in files:
        task = task_of(
            _description(files[path], origin=f"{name} {alias_or_version}: {path}"), section
        )
    return task or open_task(section)


def _description(text: bytes, *, origin: str) -> ModelDescription:
    what = "a description of a model"
    return validated(ModelDescription, parse_json(text, origin=origin), origin=origin, what=what)


def promote_judged(judgement: Judgement, *, tracking_uri: str) -> registry.RegisteredVersion:
    """Make a challenger that passed the champion.

    Raises:
        ValueError: it did not pass, or another version became champion meanwhile.
    """
    if not judgement.decision.has_passed:
        raise ValueError(
            f"{judgement.name} version {judgement.version}: only a version that passed the gate is "
            f"promoted. Received: {judgement.decision.reason}."
        )
    return registry.promote(
        name=judgement.name,
        version=judgement.version,
        expected_holder=judgement.champion or judgement.version,
        tracking_uri=tracking_uri,
    )


def _profile(client: Any, name: str, number: Any) -> TextProfile | None:
    """The text profile of a version's training data; None where it was registered without."""
    run_id = client.get_model_version(name, number).run_id
    if not run_id:
        return None
    artifacts = client.list_artifacts(run_id, registry.FILES_FOLDER)
    path = f"{registry.FILES_FOLDER}/{PROFILE_FILE}"
    if path not in {artifact.path for artifact in artifacts}:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return TextProfile.read(client.download_artifacts(run_id, path, folder))


def _keep(client: Any, version: Any, decision: Decision, champion: int | None) -> None:
    tags = {
        PASSED_TAG: str(decision.has_passed).lower(),
        REASON_TAG: decision.reason[:_TAG_CHARACTERS],
        AGAINST_TAG: "" if champion is None else str(champion),
    }
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, value)
    if not version.run_id:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DECISION_FILE
        path.write_text(
            json.dumps(decision.as_json(), ensure_ascii=False, indent=2), encoding="utf-8"
        )
        path.with_suffix(".md").write_text(decision.as_markdown() + "\n", encoding="utf-8")
        client.log_artifacts(version.run_id, folder, f"{_ARTIFACT_FOLDER}/{version.version}")

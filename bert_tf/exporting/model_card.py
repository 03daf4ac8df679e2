"""A SavedModel's card: what it is, what it was made of, how good it is, and its limits.

In: `assets.extra` of an export, which has model, data, metrics, checks and the configuration's
section `card`. Out: Markdown; the registry shows it as the version's description.

Source of the questions that it answers: Mitchell et al. 2019.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bert_tf.config import CONFIG_FILE, CardConfig
from bert_tf.exporting.servability import REPORT_FILE
from bert_tf.models.description import DESCRIPTION_FILE, load_description
from bert_tf.system.json_files import read_json, validated
from bert_tf.system.listing import listed
from bert_tf.system.yaml_files import read_yaml
from bert_tf.tasks.table import task_of
from bert_tf.tracking.provenance import read_provenance

CARD_FILE = "model_card.md"
_NOT_SAID = "not said"


def make_card(saved_model_dir: str | Path, *, name: str) -> str | None:
    """The card of a SavedModel that `bert-tf export` wrote; None of another one."""
    extra = Path(saved_model_dir) / "assets.extra"
    if not (extra / DESCRIPTION_FILE).is_file() or not (extra / CONFIG_FILE).is_file():
        return None
    sections = [
        f"# {name}",
        *_model(extra),
        *_use(_card_settings(extra / CONFIG_FILE)),
        *_data(read_provenance(extra) or {}),
        *_metrics(_read(extra / "metrics.json")),
        *_checks(_read(extra / REPORT_FILE)),
    ]
    return "\n".join(sections) + "\n"


def _card_settings(path: Path) -> CardConfig:
    """That section alone: an export of another version may have settings that this one has not."""
    values = read_yaml(path, what="a configuration")
    section = (values.get("card") if isinstance(values, dict) else None) or {}
    return validated(CardConfig, section, origin=f"{path}: card", what="a section of settings")


def _model(extra: Path) -> Iterator[str]:
    description = load_description(extra)
    shape = description.architecture
    windows = (
        f" in {description.max_windows} windows at most" if description.max_windows > 1 else ""
    )
    yield ""
    yield (
        f"A BERT for {description.kind.replace('_', ' ')}: {shape.num_hidden_layers} layers, "
        f"{shape.hidden_size} wide, {shape.num_attention_heads} heads, a vocabulary of "
        f"{shape.vocab_size:,}, at most {description.max_seq_length} tokens of "
        f"{'a pair of texts' if description.has_text_pairs else 'a text'}{windows}."
    )
    task = task_of(description)
    if task is not None:
        yield from task.card_lines(description)
    elif description.class_names:
        yield f"Classes: {listed(description.class_names, max_items=50)}."


def _use(card: CardConfig) -> Iterator[str]:
    yield "\n## Use\n"
    yield "| | |\n|---|---|"
    for heading, value in (
        ("licence of the model", card.model_license),
        ("licence of the data", card.data_license),
        ("meant for", card.intended_use),
        ("limits", card.limits),
        ("asked about it is", card.contact),
    ):
        yield f"| {heading} | {_cell(value or _NOT_SAID)} |"


def _data(provenance: Mapping[str, Any]) -> Iterator[str]:
    if not provenance:
        return
    yield "\n## Data\n"
    yield "| stage | data | examples | SHA-256 |\n|---|---|---|---|"
    step: Mapping[str, Any] | None = provenance
    while step and step.get("stage"):
        for data in step["inputs"]:
            number = data["num_examples"]
            yield (
                f"| {step['stage']} | {data['role']}: {_cell(Path(data['source']).name)} "
                f"| {_NOT_SAID if number is None else f'{number:,}'} | {data['sha256'][:16]} |"
            )
        step = step["parent"]
    commit = provenance["git_commit"]
    yield f"\nMade by bert_tf {provenance['package_version']}" + (
        f", commit {commit}." if commit else "."
    )


def _metrics(metrics: Mapping[str, float]) -> Iterator[str]:
    if metrics:
        yield "\n## On held-out data\n"
        yield "| | |\n|---|---|"
        for name, value in sorted(metrics.items()):
            yield f"| {name} | {value:.4g} |"


def _checks(report: Mapping[str, Any]) -> Iterator[str]:
    if report:
        yield "\n## Checked before it got its number\n"
        yield "| | |\n|---|---|"
        for name, check in report["checks"].items():
            yield f"| {name} | {_cell(check['detail'])} |"
        yield f"| size | {report['num_bytes'] / 1e6:.1f} MB |"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content: dict[str, Any] = read_json(path)
    return content


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())

"""sentence-transformers folders: what a Hugging Face encoder's sentence embedding is made of.

`modules.json` lists the stages: the Transformer, a pooling, perhaps a normalisation to length 1.
"""

import json
from pathlib import Path
from typing import Any

from bert_tf.conversion.checkpoint import refuse
from bert_tf.models.description import ModelDescription
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json

MODULES_FILE = "modules.json"
SEQUENCE_FILE = "sentence_bert_config.json"
SETTINGS_FILE = "config_sentence_transformers.json"
POOLINGS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
}
MODES = {"cls": "cls", "mean": "mean", "max": "max", "mean_sqrt_len": "mean_sqrt_len_tokens"}
"""What newer versions write as `pooling_mode`."""


def read_modules(path: Path) -> dict[str, Any]:
    """Fields of a `ModelDescription`; none where the folder is no sentence-transformers folder.

    Raises:
        ValueError: a stage other than those above, or several poolings at once.
    """
    if not (path / MODULES_FILE).is_file():
        return {}
    stages = read_json(path / MODULES_FILE, kind=list)
    kinds = [str(stage["type"]).rsplit(".", 1)[-1] for stage in stages]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ValueError(
            f"{path / MODULES_FILE}: the stages must be Transformer, Pooling and perhaps "
            f"Normalize. Received: {kinds}."
        )
    fields: dict[str, Any] = {
        "pooling": _read_pooling(path / stages[1]["path"] / "config.json"),
        "normalize_embeddings": "Normalize" in kinds,
    }
    settings = read_json(path / SETTINGS_FILE) if (path / SETTINGS_FILE).is_file() else {}
    unknown = {
        name: settings[name]
        for name in ("default_prompt_name", "truncate_dim")
        if settings.get(name)
    }
    if unknown:
        raise ValueError(
            f"{path / SETTINGS_FILE}: embeddings must be whole and of the text alone. Received: "
            f"{unknown}."
        )
    sequence = read_json(path / SEQUENCE_FILE) if (path / SEQUENCE_FILE).is_file() else {}
    if sequence.get("do_lower_case"):
        raise ValueError(
            f"{path / SEQUENCE_FILE}: lower-casing must be the tokenizer's. Received: "
            "do_lower_case=true. Set it in tokenizer_config.json instead."
        )
    if sequence.get("max_seq_length"):
        fields["max_seq_length"] = int(sequence["max_seq_length"])
    return fields


def write_modules(description: ModelDescription, directory: Path) -> None:
    """Write the stages of an `encoder`; nothing where its embedding is the pooler's output."""
    if description.pooling == "pooler":
        return
    names = ["Transformer", "Pooling", *(["Normalize"] if description.normalize_embeddings else [])]
    stages = [
        {
            "idx": index,
            "name": str(index),
            "path": "" if index == 0 else f"{index}_{name}",
            "type": f"sentence_transformers.models.{name}",
        }
        for index, name in enumerate(names)
    ]
    for stage in stages[1:]:
        (directory / str(stage["path"])).mkdir()
    pooling = {theirs: ours == description.pooling for ours, theirs in POOLINGS.items()}
    size = {"word_embedding_dimension": description.architecture.hidden_size}
    _write(directory / "1_Pooling" / "config.json", size | pooling)
    _write(
        directory / SEQUENCE_FILE,
        {"max_seq_length": description.max_seq_length, "do_lower_case": False},
    )
    _write(directory / MODULES_FILE, stages)


def _read_pooling(path: Path) -> str:
    config = read_json(path)
    wanted = {ours for ours, theirs in POOLINGS.items() if config.get(theirs)}
    wanted |= {ours for ours, mode in MODES.items() if config.get("pooling_mode") == mode}
    others = sorted(
        name
        for name, value in config.items()
        if name.startswith("pooling_mode_") and value and name not in POOLINGS.values()
    )
    faults = [] if len(wanted) == 1 and not others else [*sorted(wanted), *others, f"{config}"]
    refuse(str(path), faults, what=f"must set exactly one pooling of {sorted(POOLINGS)}.")
    return wanted.pop()


def _write(path: Path, content: object) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")

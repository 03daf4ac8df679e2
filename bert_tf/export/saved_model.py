"""`bert-tf export`: a trained model's folder in, `BASE/NAME/VERSION` for TF Serving out.

The SavedModel is written under a hidden name, loaded again and compared with the model in
memory, and only then renamed to its version number: TF Serving never sees half of one.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's ops for loading)

from bert_tf.config import CONFIG_FILE, Config, required, write_config
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.export.signatures import DEFAULT, FILL_MASK, ServingModel
from bert_tf.models.folder import load_description, load_model

log = logging.getLogger(__name__)

EXPORTING = ".exporting-"
SECONDS_UNTIL_STALE = 24 * 3600

# Short, long, Hangul, empty, control tokens as text, invalid UTF-8.
TRIAL_TEXTS: tuple[bytes, ...] = (
    b"A plain sentence.",
    b"many words " * 400,
    "한글 문장도 그대로 지나갑니다.".encode(),
    b"",
    b"[CLS] control [SEP] tokens [PAD]",
    b"broken \xff\xfe bytes",
)


def export_model(config: Config, output_dir: str | Path) -> Path:
    """Write `export.model` as the next version below `output_dir` (BASE/NAME).

    Returns the version's folder. Its `assets.extra` holds the model's description, metrics and
    vocabulary, `config.yaml` of this export and `training.yaml`, the one of the training.

    Raises:
        ValueError: the reloaded SavedModel answers differently from the model in memory.
    """
    section = config.export
    folder = Path(required(section.model, key="export.model", what="a folder with a trained model"))
    description = load_description(folder)
    max_seq_length = section.max_seq_length or description.max_seq_length
    limit = description.architecture.max_position_embeddings
    if max_seq_length > limit:
        raise ValueError(
            "export.max_seq_length must be at most the model's max_position_embeddings. "
            f"Received: {max_seq_length} and {limit}. Lower export.max_seq_length."
        )
    serving_model = ServingModel(
        load_model(folder),
        Tokenizer.load(folder),
        description,
        max_seq_length=max_seq_length,
        top_k=section.top_k,
    )
    base = Path(output_dir)
    base.mkdir(parents=True, exist_ok=True)
    _remove_stale(base)
    temporary = Path(tempfile.mkdtemp(prefix=EXPORTING, dir=base))
    temporary.chmod(0o755)
    try:
        tf.saved_model.save(serving_model, str(temporary), signatures=serving_model.answers)
        extra = temporary / "assets.extra"
        extra.mkdir()
        for name in ("model.json", "vocab.txt", "tokenizer.json", "metrics.json"):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, extra / name)
        if (folder / CONFIG_FILE).is_file():
            shutil.copyfile(folder / CONFIG_FILE, extra / "training.yaml")
        resolved = section.model_copy(update={"max_seq_length": max_seq_length})
        write_config(config.model_copy(update={"export": resolved}), extra)
        compare(serving_model.answers, tf.saved_model.load(str(temporary)).signatures)
        return _rename_to_next_version(temporary, base)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def predict_texts(
    saved_model_dir: str | Path,
    texts: Sequence[str],
    *,
    text_pairs: Sequence[str] | None = None,
    signature_name: str = DEFAULT,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """Answers of a SavedModel on disk, one dict a text.

    Raises:
        FileNotFoundError: `saved_model_dir` is no SavedModel.
        ValueError: no such signature, pairs where the model takes single texts (or reverse), or
            texts that the signature refuses (`fill_mask` without [MASK]).
    """
    directory = newest_version(saved_model_dir)
    signatures = tf.saved_model.load(str(directory)).signatures
    if signature_name not in signatures:
        raise ValueError(
            f"{directory}: signature_name must be one of {sorted(signatures)}. "
            f"Received: {signature_name!r}."
        )
    function = signatures[signature_name]
    columns: dict[str, Sequence[str]] = {"text": texts}
    if text_pairs is not None:
        columns["text_pair"] = text_pairs
    wanted = set(function.structured_input_signature[1])
    if wanted != set(columns):
        raise ValueError(
            f"{signature_name} takes {sorted(wanted)}. Received: {sorted(columns)}. "
            "A tab separates the two texts of a pair."
        )
    answers: list[dict[str, Any]] = []
    for start in range(0, len(texts), batch_size):
        batch = {
            name: tf.constant(list(values[start : start + batch_size]))
            for name, values in columns.items()
        }
        try:
            answers += _rows(function(**batch))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{signature_name}: {error.message}") from error
    return answers


def newest_version(directory: str | Path) -> Path:
    """`directory` where it is a SavedModel, or the highest version below it."""
    directory = Path(directory)
    versions = _versions(directory)
    newest = directory / str(versions[-1]) if versions else directory
    if not (newest / "saved_model.pb").is_file():
        raise FileNotFoundError(
            f"{directory}: must be a SavedModel, or a folder of numbered versions. Received: "
            "neither. Give a folder that `bert-tf export` wrote."
        )
    return newest


def _versions(base: Path) -> list[int]:
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal())


def _remove_stale(base: Path) -> None:
    """What an export that was killed left behind more than a day ago."""
    for path in base.glob(f"{EXPORTING}*"):
        if time.time() - path.stat().st_mtime > SECONDS_UNTIL_STALE:
            shutil.rmtree(path, ignore_errors=True)


def _rename_to_next_version(temporary: Path, base: Path) -> Path:
    version = (_versions(base) or [0])[-1] + 1
    while True:
        target = base / str(version)
        try:
            temporary.rename(target)  # fails where another export took the number
        except OSError:
            if not target.exists():
                raise
            version += 1
        else:
            log.info("Exported %s.", target)
            return target


def compare(in_memory: Mapping[str, Any], reloaded: Mapping[str, Any]) -> None:
    """Raise ValueError unless both signature maps give the same answers to trial inputs."""
    for name, function in in_memory.items():
        if name == DEFAULT and any(function is other for other in list(in_memory.values())[1:]):
            continue  # an alias
        arguments = _trial_arguments(function, with_masks=name == FILL_MASK)
        expected = function(**arguments)
        received = reloaded[name](**arguments)
        for output, value in expected.items():
            if not _are_close(value.numpy(), received[output].numpy()):
                raise ValueError(
                    f"Output {output!r} of signature {name!r} must be the same after reloading. "
                    "Received: other values. The export is not published."
                )


def _trial_arguments(function: Any, *, with_masks: bool) -> dict[str, tf.Tensor]:
    names = list(function.structured_input_signature[1]) or [
        spec.name for spec in function.structured_input_signature[0]
    ]
    if "text" not in names:
        ids = tf.constant([[1, 2, 3, 4], [4, 3, 0, 0]])
        mask = tf.constant([[1, 1, 1, 1], [1, 1, 0, 0]])
        return {"input_ids": ids, "input_mask": mask, "segment_ids": tf.zeros_like(ids)}
    texts = [b"[MASK] " + text if with_masks else text for text in TRIAL_TEXTS]
    return {name: tf.constant(texts if name == "text" else texts[::-1]) for name in names}


def _are_close(expected: np.ndarray, received: np.ndarray) -> bool:
    if expected.dtype == object:
        return bool((expected == received).all())
    return np.allclose(expected, received, rtol=1e-4, atol=1e-5)


def _rows(outputs: Mapping[str, tf.Tensor]) -> list[dict[str, Any]]:
    columns = {name: value.numpy().tolist() for name, value in sorted(outputs.items())}
    return [
        dict(zip(columns, map(_to_text, row), strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _to_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_text(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

"""`bert-tf convert`: a checkpoint of any known format in, one of any format out."""

import dataclasses
import glob
import os
from pathlib import Path
from types import ModuleType

import pydantic

from bert_tf.conversion import google, huggingface, keras_nlp, model_garden
from bert_tf.conversion.checkpoint import ForeignCheckpoint, Model
from bert_tf.data.text.tokenizer import WORDPIECE_FILE, Tokenizer, find_vocabulary
from bert_tf.data.text.vocabulary_case import warn_of_lower_cased_hangul, warn_of_unknown_words
from bert_tf.models.description import DESCRIPTION_FILE, load_description
from bert_tf.models.folder import save_model
from bert_tf.system.files import hidden_folder
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import path_hint
from bert_tf.system.output_folder import owned_folder
from bert_tf.tasks.models import load_model
from bert_tf.tasks.table import task_of

OWN, ENCODER = "bert-tf", "encoder"
FORMATS: dict[str, ModuleType] = {
    "huggingface": huggingface,
    "google": google,
    "model-garden": model_garden,
    "keras-nlp": keras_nlp,
}
"""Each has `is_checkpoint`, `open_checkpoint` and, but for Model Garden, `write_checkpoint`."""
READABLE = (OWN, *FORMATS)
WITHOUT_CASE = ("google", "model-garden", "huggingface")
"""Whose files do not say whether text is lower-cased, or need not."""
WRITABLE = (OWN, *(name for name, module in FORMATS.items() if hasattr(module, "write_checkpoint")))


def convert_checkpoint(
    source: str | Path,
    target: str | Path,
    *,
    target_format: str = OWN,
    source_format: str | None = None,
    lower_case: bool | None = None,
    has_text_pairs: bool = False,
) -> Model:
    """Read `source`, write it as the new folder `target`, whole or not at all.

    Args:
        target_format: one of `WRITABLE`.
        source_format: one of `READABLE`; None looks at the files.
        lower_case: see `load_checkpoint`.
        has_text_pairs: whether a classifier takes two texts; foreign checkpoints do not say.

    Raises:
        FileNotFoundError: `source` or a file that it needs is not there.
        FileExistsError: `target` is there already.
        ValueError: the source is damaged or of no known format, or the target's format cannot
            hold the model; lists every reason.
    """
    target = Path(target)
    _refuse_existing(target)
    model = load_checkpoint(source, source_format=source_format, lower_case=lower_case)
    if has_text_pairs:
        model = _of_pairs(model, source=str(source))
    # A folder that is there: nothing new is left where writing fails.
    root = next(parent for parent in target.absolute().parents if parent.exists())
    with hidden_folder(root, prefix=f".{target.name}.converting-") as temporary:
        if target_format == OWN:
            _write_own(model, temporary)
        else:
            _refuse_own_head(model, target=target)
            _refuse_sentencepiece(model, target=target, target_format=target_format)
            FORMATS[target_format].write_checkpoint(_without_task(model), temporary, target=target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_existing(target)  # made by another process meanwhile
        temporary.rename(target)
    return model


def _without_task(model: Model) -> Model:
    """Of a task without a head the encoder alone, which has all of its weights."""
    task = task_of(model.description)
    if task is None or task.head_layout != ENCODER:
        return model
    plain = {"kind": ENCODER, "task_state": {}}
    description = model.description.model_copy(update=plain)
    return dataclasses.replace(model, description=description)


def _refuse_own_head(model: Model, *, target: Path) -> None:
    task = task_of(model.description)
    if task is not None and task.head_layout is None:
        raise ValueError(
            f"{target}: a model must have a head that other libraries have. Received: one of "
            f"{model.description.kind} with weights that are the task's own, such as a decoder, or "
            "those of finetuning.task.crf. Convert the encoder that it was trained from, or train "
            "without."
        )


def _refuse_sentencepiece(model: Model, *, target: Path, target_format: str) -> None:
    if model.tokenizer is not None and model.tokenizer.vocabulary_file != WORDPIECE_FILE:
        raise ValueError(
            f"{target}: a BERT of {target_format} must have a WordPiece vocabulary. Received: one "
            f"with {model.tokenizer.vocabulary_file}. Export it for TF Serving, which takes it, or "
            "train with vocabulary.kind=wordpiece."
        )


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(
            f"{target}: the target must be a new folder. Received: one that exists. Remove it or "
            "name another."
        )


def load_checkpoint(
    source: str | Path,
    *,
    source_format: str | None = None,
    lower_case: bool | None = None,
    dtype: str = "float32",
) -> Model:
    """The model in `source`, every weight of it, with its tokenizer.

    Args:
        source: a folder, or the prefix of a TensorFlow checkpoint.
        lower_case: for Google's and Model Garden's, whose files do not say, and Hugging Face's,
            which need not; None takes what they say, or looks at the vocabulary.
        dtype: a Keras dtype policy.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: no known format, damaged, or tensors that do not fit (all are listed).
    """
    source = Path(source)
    name = source_format or detect_format(source)
    if lower_case is not None and name not in WITHOUT_CASE:
        raise ValueError(
            f"{source}: lower_case is for {', '.join(WITHOUT_CASE)} only: the files of "
            f"{name} say it themselves. Received: lower_case={lower_case}. Leave it out."
        )
    if name == OWN:
        has_vocabulary = find_vocabulary(source).is_file()
        return Model(
            load_model(source, dtype=dtype),
            load_description(source),
            Tokenizer.load(source) if has_vocabulary else None,
        )
    options = {"lower_case": lower_case} if name in WITHOUT_CASE else {}
    try:
        checkpoint: ForeignCheckpoint = FORMATS[name].open_checkpoint(source, **options)
    except pydantic.ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}={fault['input']!r:.80} ({fault['msg']})"
            for fault in error.errors()
        )
        raise ValueError(
            f"{source}: must describe a BERT model. Received: {faults}. Mend its configuration, or "
            "take the folder anew from where it came from."
        ) from error
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(
            f"{source}: its configuration must have the form that {name} writes. Received: "
            f"{error!r}. BERT_TF_DEBUG=1 shows where."
        ) from error
    model = checkpoint.build(dtype=dtype)
    if model.tokenizer is not None:
        _warn_of_case(model.tokenizer, source=str(source))
    return _in_windows(model)


def _in_windows(model: Model) -> Model:
    """As many windows as the model's task has by default, of which no other library's files say."""
    task = task_of(model.description)
    if task is None or task.default_max_windows == 1:
        return model
    update = {"max_windows": task.default_max_windows}
    description = model.description.model_copy(update=update)
    return Model(model.network, description, model.tokenizer)


def _warn_of_case(tokenizer: Tokenizer, *, source: str) -> None:
    settings = tokenizer.settings
    warn_of_lower_cased_hangul(
        tokenizer.vocabulary,
        lower_case=settings["lower_case"],
        strip_accents=settings["strip_accents"],
        source=source,
    )
    warn_of_unknown_words(tokenizer, source=source)


def detect_format(source: str | Path) -> str:
    """Which of `READABLE` the files at `source` are.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: none of them.
    """
    source = Path(source)
    is_prefix = any(source.parent.glob(f"{glob.escape(source.name)}.*"))
    if not (source.exists() or is_prefix):
        raise FileNotFoundError(
            f"{source}: a checkpoint must exist. Received: no such file or folder."
            f"{path_hint(source)}"
        )
    if (source / DESCRIPTION_FILE).is_file():
        return OWN
    for name, module in FORMATS.items():
        if module.is_checkpoint(source):
            return name
    names = sorted(path.name for path in source.iterdir()) if source.is_dir() else [source.name]
    raise ValueError(
        f"{source}: must be a checkpoint of one of {', '.join(READABLE)}. Received: "
        f"{listed(names) or 'an empty folder'}. Give the folder, or a TensorFlow checkpoint's path "
        "without .index."
    )


def _of_pairs(model: Model, *, source: str) -> Model:
    if task_of(model.description) is None:
        raise ValueError(
            f"{source}: only a model of a task takes pairs of texts or does not. Received: "
            f"has_text_pairs=True for kind={model.description.kind!r}. Leave it out."
        )
    description = model.description.model_copy(update={"has_text_pairs": True})
    return Model(model.network, description, model.tokenizer)


def _write_own(model: Model, directory: Path) -> None:
    with owned_folder(directory, command="convert"):
        if model.tokenizer is not None:
            model.tokenizer.save(directory)
        tied_files = model.tokenizer.files if model.tokenizer is not None else ()
        save_model(model.network, model.description, directory, tied_files=tied_files)

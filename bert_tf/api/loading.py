"""The name of a model in, the model out: a folder, an export, a foreign checkpoint, a version."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf.api.loaded import LoadedModel
from bert_tf.api.process import prepare_process
from bert_tf.config import CONFIG_FILE, TRAINING_CONFIG_FILE
from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription, load_description

if TYPE_CHECKING:
    import keras

    from bert_tf.data.text.tokenizer import Tokenizer

_REGISTERED = "models:/"
_EXTRA = "assets.extra"


def load(source: str | Path, *, tracking_uri: str | None = None) -> LoadedModel:
    """A model folder, an export, a checkpoint of another library, or a registered version.

    Args:
        source: a folder that `finetune`, `pretrain` or `bert-tf convert` wrote; a SavedModel that
            `export` wrote, or the folder of its versions (the newest is taken); a folder of Hugging
            Face's, or of whatever else `bert-tf convert` reads; `models:/NAME@ALIAS` or
            `models:/NAME/VERSION`.
        tracking_uri: of the registry. Default: `MLFLOW_TRACKING_URI`, or `sqlite:///mlflow.db`.

    Raises:
        FileNotFoundError, ValueError: there is no model, or it is damaged.
    """
    prepare_process()
    if str(source).startswith(_REGISTERED):
        return _load_registered(str(source), tracking_uri)
    from bert_tf.exporting.version_folders import newest_version

    folder = Path(source)
    if (folder / DESCRIPTION_FILE).is_file():
        return _FolderModel(folder, load_description(folder))
    is_export = (folder / "saved_model.pb").is_file() or any(folder.glob("[0-9]*/saved_model.pb"))
    if is_export:
        return _ExportedModel(newest_version(folder))
    return _load_foreign(folder)


def _load_registered(source: str, tracking_uri: str | None) -> LoadedModel:
    from bert_tf import registry
    from bert_tf.cli.process import tracking_uri as usual_uri

    name, at, alias = source.removeprefix(_REGISTERED).partition("@")
    if not at:
        name, _, alias = name.rpartition("/")
    if not name or not alias:
        raise ValueError(
            "A registered version must be models:/NAME@ALIAS or models:/NAME/VERSION. Received: "
            f"{source!r}."
        )
    scratch = tempfile.mkdtemp(prefix="bert_tf-")
    try:
        folder = registry.fetch(
            name=name,
            alias_or_version=int(alias) if alias.isdecimal() else alias,
            output_dir=scratch,
            tracking_uri=tracking_uri or usual_uri(),
        )
        model = _ExportedModel(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    weakref.finalize(model, shutil.rmtree, scratch, ignore_errors=True)
    return model


def _load_foreign(folder: Path) -> LoadedModel:
    from bert_tf.conversion.convert import load_checkpoint

    checkpoint = load_checkpoint(folder)
    return _FolderModel(
        folder, checkpoint.description, network=checkpoint.network, tokenizer=checkpoint.tokenizer
    )


class _FolderModel(LoadedModel):
    """A model folder, or a foreign checkpoint that has been read."""

    _config_file = CONFIG_FILE

    def __init__(
        self,
        folder: Path,
        description: ModelDescription,
        *,
        network: "keras.Model | None" = None,
        tokenizer: "Tokenizer | None" = None,
    ) -> None:
        super().__init__(folder, description)
        if network is not None:
            self.__dict__["model"] = network
        if tokenizer is not None:
            self.__dict__["tokenizer"] = tokenizer

    @cached_property
    def model(self) -> "keras.Model":
        from bert_tf.tasks.models import load_model

        return load_model(self.folder)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        from bert_tf.data.text.tokenizer import Tokenizer

        return Tokenizer.load(self.folder)

    @cached_property
    def signatures(self) -> Mapping[str, Any]:
        """The very functions that an export would have."""
        from bert_tf.exporting.signatures import ServingModel
        from bert_tf.exporting.texts import TextInputs
        from bert_tf.tasks.texts import limits_of

        inputs = TextInputs(self.tokenizer, limits_of(self.description), pad_to_multiple_of=8)
        return ServingModel(self.model, inputs, self.description).answers


class _ExportedModel(LoadedModel):
    """A SavedModel that `bert-tf export` wrote."""

    _config_file = TRAINING_CONFIG_FILE

    def __init__(self, folder: Path) -> None:
        from bert_tf.exporting.loading import load_saved_model

        super().__init__(folder, load_description(folder / _EXTRA))
        self._loaded = load_saved_model(folder)

    @property
    def _files(self) -> Path:
        return self.folder / _EXTRA

    @property
    def signatures(self) -> Mapping[str, Any]:
        return self._loaded.signatures

    @cached_property
    def model(self) -> "keras.Model":
        """Built anew, with the SavedModel's weights.

        Raises:
            ValueError: it is an export of int8, which has no others.
        """
        from bert_tf.tasks.models import build_model

        if not self._loaded.weights:
            raise ValueError(
                f"{self.folder}: an export must have the weights of the model it was made of. "
                "Received: one of int8, which has rounded ones alone. Load the trained model's "
                "folder instead; texts are answered all the same."
            )
        network = build_model(self.description)
        for weight, stored in zip(network.weights, self._loaded.weights, strict=True):
            weight.assign(stored.numpy())
        return network

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        from bert_tf.data.text.tokenizer import Tokenizer

        return Tokenizer.load(self._files)

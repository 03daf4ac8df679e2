"""A model that is there, wherever it is: loaded with its tokenizer, to be asked and looked into."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription, load_description

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from bert_tf.data.text.tokenizer import Tokenizer

_REGISTERED = "models:/"
_EXTRA = "assets.extra"


def load(source: str | Path, *, tracking_uri: str | None = None) -> "LoadedModel":
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


def _load_registered(source: str, tracking_uri: str | None) -> "LoadedModel":
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
    scratch = tempfile.TemporaryDirectory(prefix="bert_tf-")
    folder = registry.fetch(
        name=name,
        alias_or_version=int(alias) if alias.isdecimal() else alias,
        output_dir=scratch.name,
        tracking_uri=tracking_uri or usual_uri(),
    )
    model = _ExportedModel(folder)
    model.keep(scratch)
    return model


def _load_foreign(folder: Path) -> "LoadedModel":
    from bert_tf.conversion.convert import load_checkpoint

    checkpoint = load_checkpoint(folder)
    return _FolderModel(
        folder, checkpoint.description, network=checkpoint.network, tokenizer=checkpoint.tokenizer
    )


class LoadedModel:
    """A model with its tokenizer. Made by `load`."""

    def __init__(self, folder: Path, description: ModelDescription) -> None:
        self.folder = folder
        """Where it is."""
        self.description = description
        """What it is: task, architecture, classes, length."""
        self._kept: list[Any] = []

    def keep(self, resource: Any) -> None:
        """Hold something for as long as the model is held."""
        self._kept.append(resource)

    @cached_property
    def model(self) -> "keras.Model":
        """The network: `model.encoder`, and its head."""
        raise NotImplementedError

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """In the graph: `tokenize(["some text"])` gives ragged ids."""
        raise NotImplementedError

    @property
    def signatures(self) -> Mapping[str, Callable[..., Mapping[str, Any]]]:
        """What it answers with; see docs/serving.md."""
        raise NotImplementedError

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Of its training, on held-out data; empty where none are beside it."""
        path = self._files / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @property
    def _files(self) -> Path:
        """Where what belongs to the model lies beside it."""
        return self.folder

    def predict(
        self,
        texts: Any,
        *,
        text_field: str = "text",
        text_pair_field: str = "text_pair",
        signature_name: str = "serving_default",
        batch_size: int = 32,
    ) -> "pd.DataFrame":
        """Answers, a row a text under the same index, a column an output.

        Args:
            texts: strings, pairs of strings, a Series, or a DataFrame whose columns the next two
                arguments name.
            signature_name: another one of `signatures`.

        Raises:
            ValueError: no such signature, a column is missing, or a row is no text.
        """
        import pandas as pd

        frame = _as_frame(texts, text_field=text_field, text_pair_field=text_pair_field)
        answers = self._answers(frame, signature_name, batch_size=batch_size)
        return pd.DataFrame(answers, index=frame.index)

    def embed(
        self, texts: Any, *, normalize: bool = False, text_field: str = "text", batch_size: int = 32
    ) -> "np.ndarray":
        """Embeddings, float32 (texts, hidden); with `normalize` of length 1."""
        import numpy as np

        frame = _as_frame(texts, text_field=text_field, text_pair_field="text_pair")
        name = "embed_normalized" if normalize else "embed"
        answers = self._answers(frame[["text"]], name, batch_size=batch_size)
        return np.array(answers["embedding"], np.float32)

    def _answers(
        self, frame: "pd.DataFrame", signature_name: str, *, batch_size: int
    ) -> dict[str, list[Any]]:
        from bert_tf.exporting.predict import ask_signature

        if signature_name not in self.signatures:
            raise ValueError(
                f"signature_name must be one of {', '.join(sorted(self.signatures))}. Received: "
                f"{signature_name!r}."
            )
        columns = {str(name): frame[name].tolist() for name in frame.columns}
        function = self.signatures[signature_name]
        return ask_signature(function, columns, name=signature_name, batch_size=batch_size)

    def __repr__(self) -> str:
        return f"<{self.description.kind} model in {self.folder}>"


class _FolderModel(LoadedModel):
    """A model folder, or a foreign checkpoint that has been read."""

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
    def signatures(self) -> Mapping[str, Callable[..., Mapping[str, Any]]]:
        """The very functions that an export would have."""
        from bert_tf.exporting.signatures import ServingModel
        from bert_tf.exporting.texts import TextInputs

        length = self.description.max_seq_length
        inputs = TextInputs(self.tokenizer, max_seq_length=length, pad_to_multiple_of=8)
        return ServingModel(self.model, inputs, self.description).answers


class _ExportedModel(LoadedModel):
    """A SavedModel that `bert-tf export` wrote."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  (registers the tokenizer's ops for loading)

        super().__init__(folder, load_description(folder / _EXTRA))
        self._loaded = tf.saved_model.load(str(folder))

    @property
    def _files(self) -> Path:
        return self.folder / _EXTRA

    @property
    def signatures(self) -> Mapping[str, Callable[..., Mapping[str, Any]]]:
        return self._loaded.signatures

    @cached_property
    def model(self) -> "keras.Model":
        """Built anew, with the SavedModel's weights."""
        from bert_tf.tasks.models import build_model

        network = build_model(self.description)
        for weight, stored in zip(network.weights, self._loaded.weights, strict=True):
            weight.assign(stored.numpy())
        return network

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        from bert_tf.data.text.tokenizer import Tokenizer

        return Tokenizer.load(self._files)


def _as_frame(texts: Any, *, text_field: str, text_pair_field: str) -> "pd.DataFrame":
    """Columns `text` and, of pairs, `text_pair`, every cell a string."""
    import pandas as pd

    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of texts. Received: {texts!r}. Put it in [].")
    if isinstance(texts, pd.DataFrame):
        if text_field not in texts.columns:
            raise ValueError(
                f"the DataFrame must have the column {text_field!r}. Received: "
                f"{', '.join(map(str, texts.columns))}. Name the right one with text_field."
            )
        columns = {text_field: "text", text_pair_field: "text_pair"}
        frame = texts[[name for name in columns if name in texts.columns]].rename(columns=columns)
    elif isinstance(texts, pd.Series):
        frame = texts.to_frame("text")
    else:
        rows = [(row,) if isinstance(row, str) else tuple(row) for row in texts]
        names: Sequence[str] = ["text", "text_pair"][: max(map(len, rows), default=1)]
        frame = pd.DataFrame(rows, columns=list(names))
    for name in frame.columns:
        for index, value in frame[name].items():
            if not isinstance(value, str):
                raise ValueError(
                    f"row {index}, {name}: a text must be a string. Received: {value!r}."
                )
    return frame

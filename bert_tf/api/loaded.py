"""A model with its tokenizer, wherever it is: it is asked with texts, and looked into."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bert_tf.api.texts import as_frame, frame_of_task, with_lines
from bert_tf.config import read_columns
from bert_tf.data.tables.frames import is_frame
from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription
from bert_tf.system.json_files import read_json
from bert_tf.system.lookalikes import alike_hint
from bert_tf.tasks.examples import TextFields
from bert_tf.tasks.row_settings import setting_columns
from bert_tf.tasks.table import in_order, task_of

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from bert_tf.data.text.tokenizer import Tokenizer
    from bert_tf.tasks.row_settings import RowSetting

_FIELDS = ("text_field", "text_pair_field")
"""What names the columns of the first and of the second text."""
_EXAMPLES = "inputs"
"""The one input of signatures that take serialised `tf.Example`s."""
_DEFAULT = "serving_default"
_ANY_TEXT = "[MASK]"
"""What every signature of texts answers."""


class LoadedModel:
    """A model with its tokenizer. Made by `load`."""

    _config_file: ClassVar[str]
    """Among its files: the configuration that it was trained with."""

    def __init__(self, folder: Path, description: ModelDescription) -> None:
        self.folder = folder
        """Where it is."""
        self.description = description
        """What it is: task, architecture, classes, length."""

    @cached_property
    def model(self) -> "keras.Model":
        """The network: `model.encoder`, and its head."""
        raise NotImplementedError

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """In the graph: `tokenize(["some text"])` gives ragged ids."""
        raise NotImplementedError

    @property
    def signatures(self) -> Mapping[str, Any]:
        """What it answers with; see docs/serving.md."""
        raise NotImplementedError

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Of its training, on held-out data; empty where none are beside it."""
        path = self._files / "metrics.json"
        return read_json(path, what="a file of metrics") if path.is_file() else {}

    @property
    def _files(self) -> Path:
        """Where what belongs to the model lies beside it."""
        return self.folder

    @cached_property
    def training_fields(self) -> dict[str, str]:
        """Columns that it was trained on: `text_field`, `text_pair_field`, `label_field`."""
        return read_columns(self._files / self._config_file)

    def predict(
        self,
        texts: Any,
        *,
        text_field: str | None = None,
        text_pair_field: str | None = None,
        signature_name: str = _DEFAULT,
        settings: Mapping[str, Any] | None = None,
        batch_size: int = 32,
    ) -> "pd.DataFrame":
        """Answers, a row a text under the same index, a column an output.

        Args:
            texts: strings, a Series, or a DataFrame; for a model of pairs tuples of two strings, or
                a DataFrame; for one of choices tuples of a string and a list, or a DataFrame with
                the columns that the task's settings name.
            text_field: column of a DataFrame. Default: the one that the model was trained on, else
                `text`.
            text_pair_field: of the second texts, likewise; else `text_pair`.
            signature_name: another one of `signatures` that takes texts.
            settings: of a model that samples what it writes `seed`, `temperature`, `top_k`,
                `top_p`: a number each, or one a text; others as they were exported.

        Raises:
            ValueError: no such signature, a column is missing, a row is no text, or the model has
                no such setting. A text with a value out of range says so in its `status`.
        """
        import pandas as pd

        if settings and signature_name == _DEFAULT:
            signature_name = self._signature_with_settings()
        fields = {"text_field": text_field, "text_pair_field": text_pair_field}
        frame = self._as_inputs(texts, signature_name, fields)
        answers = self._answers(frame, signature_name, settings or {}, batch_size=batch_size)
        return pd.DataFrame(answers, index=frame.index)

    def embed(
        self,
        texts: Any,
        *,
        normalize: bool = False,
        text_field: str | None = None,
        batch_size: int = 32,
    ) -> "np.ndarray":
        """Embeddings, float32 (texts, hidden); with `normalize` of length 1.

        `texts` and `text_field`: as of `predict`; of pairs the first texts of a DataFrame.
        """
        import numpy as np

        name = "embed_normalized" if normalize else "embed"
        frame = self._as_inputs(texts, name, {"text_field": text_field})
        answers = self._answers(frame, name, {}, batch_size=batch_size)
        hidden_size = self.description.architecture.hidden_size
        return np.array(answers["embedding"], np.float32).reshape(-1, hidden_size)

    def _as_inputs(
        self, texts: Any, signature_name: str, fields: Mapping[str, str | None]
    ) -> "pd.DataFrame":
        if signature_name not in self.signatures:
            raise ValueError(
                f"signature_name must be one of {', '.join(sorted(self.signatures))}. Received: "
                f"{signature_name!r}.{alike_hint(signature_name, self.signatures)}"
            )
        specs = _inputs_of(self.signatures[signature_name])
        specs = [spec for spec in specs if spec.name not in self._row_settings]
        names = in_order([spec.name for spec in specs], self.description)
        if names == (_EXAMPLES,) or any(spec.dtype.name != "string" for spec in specs):
            raise ValueError(
                f"signature_name must be one that takes texts. Received: {signature_name!r}, which "
                f"takes {', '.join(names)}. Call signatures[{signature_name!r}] with tensors."
            )
        given = {name: field for name, field in fields.items() if field is not None}
        known = {**self.training_fields, **given}
        task = task_of(self.description)
        if task is not None and names == task.input_names(self.description):
            if is_frame(texts) and not task.needs_pair_field:
                named = TextFields(known.get(_FIELDS[0], names[0]), known.get(_FIELDS[1]), _FIELDS)
                return frame_of_task(texts, task, self.description, fields=named)
            if task.max_choices is not None and not is_frame(texts):
                texts = with_lines(texts)
        columns = zip(names, _FIELDS, strict=False)
        return as_frame(texts, fields={name: known.get(field, name) for name, field in columns})

    @property
    def _row_settings(self) -> "Mapping[str, RowSetting]":
        """What some signatures take beside the texts."""
        task = task_of(self.description)
        return {} if task is None else task.row_settings(self.description)

    def _signature_with_settings(self) -> str:
        task = task_of(self.description)
        declared = {} if task is None else task.signatures(self.description)
        names = [name for name, signature in declared.items() if signature.settings == "taken"]
        if not names:
            raise ValueError(
                "settings are for models that sample what they write (finetuning.task.decoding or "
                f"export.decoding with method=sample). Received: settings for {self!r}. Leave them "
                "out."
            )
        return names[0]

    def _answers(
        self,
        frame: "pd.DataFrame",
        signature_name: str,
        settings: Mapping[str, Any],
        *,
        batch_size: int,
    ) -> dict[str, list[Any]]:
        from bert_tf.exporting.predict import ask_signature

        function = self.signatures[signature_name]
        columns: dict[str, Any] = {str(name): frame[name].tolist() for name in frame.columns}
        if frame.empty:  # the columns of an answer, and no row
            columns = {name: [_ANY_TEXT] for name in columns}
        taken = {spec.name for spec in _inputs_of(function)}
        known = {name: it for name, it in self._row_settings.items() if name in taken}
        columns |= setting_columns(settings, known=known, num_rows=max(1, len(frame)))
        answers = ask_signature(function, columns, name=signature_name, batch_size=batch_size)
        return {name: values[: len(frame)] for name, values in answers.items()}

    def __repr__(self) -> str:
        return f"<{self.description.kind} model in {self.folder}>"


def _inputs_of(function: Any) -> list[Any]:
    """Specs of a signature's inputs: traced here they are positional, loaded keywords."""
    positional, keywords = function.structured_input_signature
    return [*positional] or [*keywords.values()]


def model_folder(model: str | Path | LoadedModel) -> Path:
    """Where the weights of a model lie for training, evaluation and export.

    Raises:
        ValueError: it was loaded from elsewhere, such as an export.
    """
    if not isinstance(model, LoadedModel):
        return Path(model)
    if not (model.folder / DESCRIPTION_FILE).is_file():
        raise ValueError(
            f"model must be of a folder that finetune, pretrain or `bert-tf convert` wrote. "
            f"Received: {model!r}. Name that folder."
        )
    return model.folder

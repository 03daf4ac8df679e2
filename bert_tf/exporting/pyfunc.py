"""MLflow model around an exported SavedModel: text in, labels out.

In: a DataFrame with a column for each input of the signature (`text`, for pairs `text_pair`), or
strings alone for the one input. Out: a DataFrame, a row for each row, a column for each output;
a vector (`probabilities`) is a list in its cell. `params={"signature_name": …}` asks another
signature than `serving_default`. What that takes beside texts, such as the `seed` of `sample`, is
a column, too, or one number for all rows in `params`.

MLflow stores this file with the model and runs it where only the model's requirements are
installed, so it imports nothing of bert_tf.
"""

from typing import Any

import mlflow.models
import mlflow.pyfunc
import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_text  # noqa: F401  Brings the tokenizer's ops.

_ROWS_PER_CALL = 64


class TextModel(mlflow.pyfunc.PythonModel):
    """Calls a signature of the artifact `saved_model` on columns of text."""

    def load_context(self, context: Any) -> None:
        self._model = tf.saved_model.load(context.artifacts["saved_model"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answers for a DataFrame; a Series or list of strings, or one string, does, too.

        All rows are checked first, then answered some at a time, whatever their number.

        A loaded model with a signature lets only the DataFrame and a Series named `text` through.

        Raises:
            ValueError: no such signature, a column is missing, or a row is empty.
        """
        params = params or {}
        name = params.get("signature_name", "serving_default")
        if name not in self._model.signatures:
            raise ValueError(
                f"signature_name must be one of {', '.join(sorted(self._model.signatures))}. "
                f"Received: {name!r}."
            )
        signature = self._model.signatures[name]
        specs = signature.structured_input_signature[1]
        # A setting that is no column is the same for all rows.
        columns = {
            key: spec for key, spec in specs.items() if spec.dtype == tf.string or key not in params
        }
        frame = _as_frame(model_input, specs=columns)
        frame = frame.assign(**{key: params[key] for key in specs.keys() - set(frame.columns)})
        inputs = {key: _as_values(frame[key], spec=spec) for key, spec in specs.items()}
        answers = []
        for start in range(0, max(1, len(frame)), _ROWS_PER_CALL):
            rows = slice(start, start + _ROWS_PER_CALL)
            outputs = signature(**{k: _tensor(inputs[k][rows], spec) for k, spec in specs.items()})
            columns = {key: _as_column(value.numpy()) for key, value in outputs.items()}
            answers.append(pd.DataFrame(columns, index=frame.index[rows]))
        return pd.concat(answers)


def _as_frame(model_input: Any, *, specs: dict[str, tf.TensorSpec]) -> pd.DataFrame:
    if isinstance(model_input, pd.DataFrame):
        frame = model_input
    elif len(specs) == 1:
        texts = [model_input] if isinstance(model_input, str) else model_input
        index = texts.index if isinstance(texts, pd.Series) else None
        frame = pd.DataFrame({next(iter(specs)): list(texts)}, index=index)
    else:
        raise ValueError(
            f"the input must be a DataFrame with the columns {', '.join(sorted(specs))}. "
            f"Received: {type(model_input).__name__}."
        )
    if missing := sorted(set(specs) - set(frame.columns)):
        raise ValueError(
            f"the input must have the columns {', '.join(sorted(specs))}. "
            f"Received: {', '.join(map(str, frame.columns)):.200}. Add {', '.join(missing)}."
        )
    return frame


def _as_values(column: pd.Series, *, spec: tf.TensorSpec) -> list[Any]:
    values: list[Any] = column.tolist()
    if spec.dtype == tf.string:
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise ValueError(
                    f"column {column.name}, row {row}: a text must be a string. "
                    f"Received: {value!r}."
                )
    return values


def _tensor(values: list[Any], spec: tf.TensorSpec) -> tf.Tensor:
    """Of no row at all one with the right number of dimensions."""
    if not values:
        return tf.zeros([0] * spec.shape.rank, spec.dtype)
    return tf.constant(values, dtype=spec.dtype)


def _as_column(values: np.ndarray) -> Any:
    if values.dtype == object:
        return _decode(values.tolist())
    return values if values.ndim == 1 else values.tolist()


def _decode(values: Any) -> Any:
    return [_decode(item) for item in values] if isinstance(values, list) else values.decode()


mlflow.models.set_model(TextModel())

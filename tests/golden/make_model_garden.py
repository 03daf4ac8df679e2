"""Writes tests/golden/model_garden: tiny random checkpoints, written by tf-models-official.

    python -m tests.golden.make_model_garden

Made with tf-models-official 2.20.0 and TensorFlow 2.20.0: `BertEncoder`, `BertEncoderV2`,
`BertPretrainerV2` over each and without a next-sentence head, `BertPretrainer`. `pretrainer` is
what the trainer saves, with its optimizer's state. What they compute is not stored: the tests ask
the same library.
"""

import shutil
from pathlib import Path

from tests.conversion.model_garden_reference import CASES, build, save

DIRECTORY = Path(__file__).with_name("model_garden")


def main() -> None:
    """Write everything anew."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    for seed, case in enumerate(CASES):
        save(case, build(case, seed=seed), DIRECTORY / case)


if __name__ == "__main__":
    main()

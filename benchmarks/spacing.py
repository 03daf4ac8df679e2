"""Spaces of Korean texts: a decision by the characters around each place, and a model's.

    python -m benchmarks.spacing --data ../shared/data/ko --output-dir runs/spacing
    bert-tf finetune …                    # on runs/spacing/train.txt, see docs/results.md
    python -m benchmarks.spacing --data ../shared/data/ko --output-dir runs/spacing \
        --model runs/spacing/model

The data folder holds `reviews.txt`, a review a line, and `progit/*.txt`, a paragraph a line. Texts
of more than `--max-characters` are left out, as are those without a space. Of different texts,
`--held-out` are kept for the measure, the first ones by the digest of each text.

The baseline writes a space between two characters if most such pairs of the training texts have
one, pairs that it never saw get none; with `--context 2` four characters decide, where they were
seen, else the two.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from bert_tf.data.parallel.spacing import without_spaces
from bert_tf.metrics.generated_texts import EXACT_MATCH, SPACE_F1
from bert_tf.metrics.outcomes import Outcomes

TRAIN, HELD_OUT = "train.txt", "held_out.txt"


def main() -> None:
    """Write both files, measure the baseline and print it, beside a model if there is one."""
    arguments = _parse()
    texts = sorted(set(_texts(Path(arguments.data), arguments.max_characters)), key=_digest)
    held_out, train = texts[: arguments.held_out], texts[arguments.held_out :]
    folder = Path(arguments.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in ((TRAIN, train), (HELD_OUT, held_out)):
        (folder / name).write_text("".join(f"{text}\n" for text in part), encoding="utf-8")
    print(
        f"{describe_machine()}\n{len(train):,} texts to learn from, {len(held_out):,} held out of "
        f"{sum(map(len, held_out)):,} characters.\n\n| | F1 of spaces | exact |\n|---|---|---|"
    )
    for context in range(1, arguments.context + 1):
        decide = Spacer(train, context=context)
        _print_row(f"most frequent by {2 * context} characters", decide, held_out)
    if arguments.model:
        metrics = json.loads((Path(arguments.model) / "metrics.json").read_text("utf-8"))
        print(
            f"| {arguments.model} | {metrics[SPACE_F1.name]:.2%} | "
            f"{metrics[EXACT_MATCH.name]:.2%} |"
        )


class Spacer:
    """Decides by how often a space stood between such characters in the texts it was given."""

    def __init__(self, texts: Iterable[str], *, context: int) -> None:
        self._balances: list[Counter[str]] = [Counter() for _ in range(context)]
        for text in texts:
            spaces = _places(text)
            for place, keys in _around(without_spaces(text)[0], context):
                for balance, key in zip(self._balances, keys, strict=True):
                    balance[key] += 1 if place in spaces else -1

    def __call__(self, text: str) -> str:
        """A text without spaces, with them."""
        parts, start = [], 0
        for place, keys in _around(text, len(self._balances)):
            seen = zip(reversed(self._balances), reversed(keys), strict=True)
            if next((balance[key] for balance, key in seen if key in balance), 0) > 0:
                parts.append(text[start:place])
                start = place
        return " ".join([*parts, text[start:]])


def _around(text: str, context: int) -> Iterator[tuple[int, list[str]]]:
    """Each place between two characters, and 1, 2, … characters on both of its sides."""
    edged = "\n" * context + text + "\n" * context
    for place in range(1, len(text)):
        middle = place + context
        yield place, [edged[middle - width : middle + width] for width in range(1, context + 1)]


def _places(text: str) -> set[int]:
    lengths = [len(word) for word in text.split(" ")]
    return {int(place) for place in np.cumsum(lengths[:-1])}


def _texts(data: Path, max_characters: int) -> Iterator[str]:
    paths = [data / "reviews.txt", *sorted(data.glob("progit/*.txt"))]
    for path in paths:
        for line in path.read_text("utf-8").split("\n"):
            _, text = without_spaces(line)
            if " " in text and len(text) <= max_characters:
                yield text


def _print_row(name: str, decide: Spacer, held_out: Sequence[str]) -> None:
    written = [decide(without_spaces(text)[0]) for text in held_out]
    outcomes = Outcomes(targets=np.array(held_out, object), predictions=np.array(written, object))
    print(
        f"| {name} | {SPACE_F1.score(outcomes, None):.2%} | "
        f"{EXACT_MATCH.score(outcomes, None):.2%} |"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="Folder with reviews.txt and progit/.")
    parser.add_argument("--output-dir", required=True, help="Where both files go.")
    parser.add_argument("--held-out", type=int, default=2000)
    parser.add_argument("--max-characters", type=int, default=100)
    parser.add_argument("--context", type=int, default=2, help="Characters on each side.")
    parser.add_argument("--model", help="Folder of the fine-tuned model.")
    return parser.parse_args()


if __name__ == "__main__":
    main()

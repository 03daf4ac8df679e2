"""Random labelled spans with a model's mistakes, and their IOB2 tags, made one by one."""

import numpy as np

from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.spans import span_outcomes

NAMES = ("PS", "LC", "OG", "DT")


def draw_spans(generator: np.random.Generator, text: str, names=NAMES) -> list[tuple]:
    """Up to four spans, some of them neighbours."""
    places = np.arange(len(text) + 1)
    cuts = np.sort(generator.choice(places, min(2 * generator.integers(0, 5), len(places))))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return [(a, b, str(generator.choice(names))) for a, b in pairs if a < b]


def draw_mistakes(generator: np.random.Generator, spans: list, text: str) -> list[tuple]:
    """What a model would say: many are right; labels are taken for others, some are lost."""
    kept = [span for span in spans if generator.random() < 0.8]
    if not kept and generator.random() < 0.5:
        return draw_spans(generator, text)
    is_other = generator.random(len(kept)) < 0.2
    return [
        (start, end, str(generator.choice(NAMES)) if other else label)
        for (start, end, label), other in zip(kept, is_other, strict=True)
    ]


def draw(*, seed: int, num_texts: int) -> Outcomes:
    generator = np.random.default_rng(seed)
    letters = list("가나다라마  ")
    texts = [
        "".join(generator.choice(letters, generator.integers(0, 25))) for _ in range(num_texts)
    ]
    targets = [draw_spans(generator, text) for text in texts]
    predictions = [
        draw_mistakes(generator, spans, text) for spans, text in zip(targets, texts, strict=True)
    ]
    return make(targets, predictions, texts=texts)


def make(targets, predictions, *, texts=None, names=NAMES) -> Outcomes:
    texts = ["가나다라마바사아자차"] * len(targets) if texts is None else texts
    return span_outcomes(targets, predictions=predictions, texts=texts, names=names)


def iob2(outcomes: Outcomes) -> tuple[list[list[str]], list[list[str]]]:
    """Tags of all characters, of targets and of predictions."""
    sides = (outcomes.targets, outcomes.predictions)
    return tuple(
        [tags_of(spans, text) for spans, text in zip(side, outcomes.texts, strict=True)]
        for side in sides
    )


def tags_of(spans, text: str) -> list[str]:
    tags = ["O"] * len(text)
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
    return tags


def shown_tags(outcomes: Outcomes) -> tuple[list[str], list[str]]:
    """Tags of all characters that are no spaces, of all texts together."""
    found: tuple[list[str], list[str]] = ([], [])
    for side, tags in zip((outcomes.targets, outcomes.predictions), found, strict=True):
        for spans, text in zip(side, outcomes.texts, strict=True):
            starts = [sum(c != " " for c in text[:at]) for at in range(len(text) + 1)]
            shown = [(starts[a], starts[b], label) for a, b, label in spans]
            filled = [span for span in shown if span[0] < span[1]]
            tags.extend(tags_of(filled, text.replace(" ", "")))
    return found

"""What the report of written texts has: scores by length, and texts to look at."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.metrics import generated_texts as scores
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_label_bars
from bert_tf.metrics.tables import markdown_table
from bert_tf.system.files import write_whole
from bert_tf.system.listing import shortened
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Report

PICTURE_FILE, TABLE_FILE = "texts.png", "texts.md"
NUM_SHOWN = 10

log = logging.getLogger(__name__)


def report_texts(
    outcomes: Outcomes, directory: Path, *, metric: Metric, signatures: Mapping[str, str]
) -> Report:
    """A picture and a table by the length of the source; the worst and the best texts by chrF.

    Args:
        signatures: of BLEU and chrF, as sacrebleu prints them; the log has them, too.
    """
    for name, signature in signatures.items():
        log.info("%s: %s", name, signature)
    rows = _length_rows(outcomes)
    is_drawn = try_to_draw(
        draw_label_bars,
        rows,
        directory / PICTURE_FILE,
        title=f"{metric.title} {metric.score(outcomes, None):.3g} on {len(outcomes):,} texts",
        counted="texts",
        rated=("share", "chrF / 100"),
    )
    order = np.argsort(scores.example_chrf(outcomes), kind="stable")
    parts = [
        markdown_table([{key: row[key] for key in row if key != "share"} for row in rows]),
        "\n".join(f"- {name}: `{signature}`" for name, signature in signatures.items()),
        "## Furthest from the right text",
        markdown_table([_example(outcomes, int(row)) for row in order[:NUM_SHOWN]]),
        "## Nearest",
        markdown_table([_example(outcomes, int(row)) for row in order[::-1][:NUM_SHOWN]]),
    ]
    write_whole(directory / TABLE_FILE, "\n\n".join(parts) + "\n")
    return Report(files=(*([PICTURE_FILE] if is_drawn else []), TABLE_FILE))


def _length_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    rows = []
    for name, is_own in scores.by_source_length(outcomes).items():
        own = outcomes.take(is_own)
        chrf = scores.CHRF.score(own, None)
        rows.append(
            {
                "name": name,
                "support": len(own),
                "chrF": chrf,
                "exact match": scores.EXACT_MATCH.score(own, None),
                "share": chrf / 100.0,
            }
        )
    return rows


def _example(outcomes: Outcomes, row: int) -> dict[str, str]:
    texts = () if outcomes.texts is None else (("source", outcomes.texts[row]),)
    named = (*texts, ("right", outcomes.targets[row]), ("written", outcomes.predictions[row]))
    return {name: shortened(" ".join(text.split())) for name, text in named}

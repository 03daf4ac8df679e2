"""The settings of texts from texts, and sources and targets encoded as these say."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from bert_tf.config import DecodingConfig, Section
from bert_tf.config.section import Share
from bert_tf.data.parallel.reading import MadeBy
from bert_tf.metrics.generated_texts import BleuTokenizer
from bert_tf.models.description import ModelDescription

if TYPE_CHECKING:
    from bert_tf.data.batches.encoded_pairs import EncodedPairs, Tokens
    from bert_tf.data.text.tokenizer import Tokenizer

MADE_BY: Mapping[str, MadeBy] = {"columns": "columns", "spacing": "spacing", "infilling": "text"}


class SequenceToSequenceSettings(Section):
    """Beside `finetuning.task.name`."""

    pairs: Literal["columns", "spacing", "infilling"] = "columns"
    """What source and target are. `columns`: `finetuning.text_field` (`source`) and `label_field`
    (`target`), which two files side by side have, too. Of the column `text` alone, `spacing`: each
    text without its spaces, and with them. `infilling`: each text with spans masked, and whole
    (BART's first training)."""
    max_target_length: pydantic.PositiveInt | None = None
    """Tokens of a target, its end among them. Default: `finetuning.max_seq_length`, which is that
    of sources."""
    long_texts: Literal["cut", "error"] = "cut"
    """What becomes of longer ones: cut at the end and counted, or the first ends the run."""
    batch_tokens: pydantic.PositiveInt = 4096
    """Of a batch, in the place of `training.batch_size`: as many pairs as have so many tokens on
    their longer side, padding counted."""
    label_smoothing: Share = 0.1
    """Share of the target that is uniform over the vocabulary (Vaswani et al. 2017)."""
    decoding: DecodingConfig = DecodingConfig()
    """How texts are written: in evaluation and in the exported model."""
    infilling_share: Share = 0.3
    """Of `infilling`, tokens that are masked (Lewis et al. 2020)."""
    infilling_span: pydantic.PositiveFloat = 3.0
    """Of `infilling`, tokens of a span on average."""
    infilling_seed: int = 0
    bleu_tokenizer: BleuTokenizer = "13a"
    """Sacrebleu's: how texts are split into words where BLEU counts them."""
    bleu_lower_case: bool = False
    faults: Literal["error", "skip"] = "error"
    """What becomes of a pair with nothing to read on a side: the run ends, or it is left out and
    counted."""


def encode_sides(
    sources: "Tokens",
    targets: "Tokens",
    settings: SequenceToSequenceSettings,
    description: ModelDescription,
    tokenizer: "Tokenizer",
    *,
    where: Callable[[int], str],
) -> "EncodedPairs":
    """Pairs for batches; of infilling the sources are drawn of the targets.

    Raises:
        ValueError: a text is too long, see `encoded_pairs.encode_pairs`.
    """
    from bert_tf.data.batches import encoded_pairs
    from bert_tf.data.batches.infilling import Infilling

    common: dict[str, Any] = {
        "framing": encoded_pairs.Framing(
            pad_id=tokenizer.pad_id,
            start_id=tokenizer.start_id,
            end_id=tokenizer.end_id,
            source_prefix=(tokenizer.cls_id,),
            source_suffix=(tokenizer.sep_id,),
            unk_id=tokenizer.unk_id,
        ),
        "limits": encoded_pairs.PairLimits(
            description.max_seq_length,
            settings.max_target_length or description.max_seq_length,
            settings.long_texts,
        ),
        "where": where,
    }
    if settings.pairs != "infilling":
        return encoded_pairs.encode_pairs(sources, targets, **common)
    infilling = Infilling(tokenizer.mask_id, settings.infilling_share, settings.infilling_span)
    return encoded_pairs.encode_infilling(
        targets, infilling=infilling, seed=settings.infilling_seed, **common
    )

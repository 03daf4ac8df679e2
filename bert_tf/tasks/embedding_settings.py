"""The settings of the task `embedding`, and the loss that they name."""

from typing import TYPE_CHECKING, Literal, Self

import pydantic

from bert_tf.config import Section
from bert_tf.config.section import ColumnName

if TYPE_CHECKING:
    from bert_tf.models.contrastive import EmbeddingObjective

OF_SCORES = ("cosent", "cosine")
OF_SINGLE_TEXTS = ("simcse", "distillation")


class HeldOutColumns(Section):
    """Columns of held-out tables that have another form than the training's."""

    text_field: ColumnName = "text"
    text_pair_field: ColumnName = "text_pair"
    label_field: ColumnName | None = None
    """Of scored pairs how alike the texts are; None: each second text is the right passage of the
    first."""


class EmbeddingSettings(Section):
    """Beside `finetuning.task.name`."""

    loss: Literal["ranking", "simcse", "cosent", "cosine", "triplet", "distillation"] = "ranking"
    """What is learnt from. `ranking`: pairs of `text_field` and `text_pair_field`, each among the
    second texts of the whole batch; `simcse`: single texts, each encoded twice; `cosent` and
    `cosine`: pairs with a score in `label_field`, of which `cosent` takes the order alone;
    `triplet`: an anchor, its positive and a negative; `distillation`: single texts with another
    model's embeddings."""
    scale: pydantic.PositiveFloat = 20.0
    """What cosines are multiplied with in `ranking`, `simcse` and `cosent`: 1 / temperature."""
    is_symmetric: bool = False
    """`ranking`: the first texts are ranked for the second ones, too."""
    negative_fields: tuple[ColumnName, ...] = ()
    """Columns of texts that are no answer to `text_field`, such as mined ones."""
    margin: pydantic.PositiveFloat = 5.0
    """`triplet`: by how much the negative has to be further away."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """`triplet`."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest score there is: `cosine` takes them as 0 and 1."""
    teacher_field: ColumnName = "embedding"
    """`distillation`: the column of the other model's embeddings, lists of numbers."""
    matryoshka: dict[pydantic.PositiveInt, pydantic.PositiveFloat] = pydantic.Field(
        default_factory=dict
    )
    """How many of an embedding's first numbers -> weight: the loss is the weighted sum of those of
    embeddings cut so, which then can be served shorter. Empty: of whole ones alone."""
    pooling: Literal["pooler", "cls", "mean", "mean_sqrt_len", "max"] | None = None
    """What an embedding is made of. Default: as of the embedding model that the training starts
    from, else `mean`."""
    normalize: bool | None = None
    """Whether embeddings have length 1. Default: likewise, else no."""
    dimensions: pydantic.PositiveInt | None = None
    """Numbers that `serving_default` gives, the first ones of an embedding, of length 1."""
    query_prefix: str = ""
    passage_prefix: str = ""
    """Put before first and before other texts; an export's `embed_query` and `embed_passage` put
    them there."""
    held_out: HeldOutColumns | None = None
    """Columns of held-out tables. Default: those of the training."""
    faults: Literal["error", "skip"] = "error"
    """What becomes of a row with an empty text, or with one text twice: the run ends, or it is left
    out and told."""

    @pydantic.model_validator(mode="after")
    def _has_what_the_loss_reads(self) -> Self:
        num = len(self.negative_fields)
        if self.loss == "triplet" and num != 1:
            raise ValueError(
                f"negative_fields must name one column for loss=triplet. Received: {num}. Name one."
            )
        if num and self.loss not in ("triplet", "ranking"):
            raise ValueError(
                "negative_fields are for loss=ranking and loss=triplet. Received: "
                f"{', '.join(self.negative_fields)} and loss={self.loss}. Take them out."
            )
        if self.loss in OF_SINGLE_TEXTS and self.held_out is None:
            raise ValueError(
                f"held_out must name the columns of held-out pairs for loss={self.loss}, which "
                "trains on single texts. Received: none. Set held_out.text_field and the others."
            )
        least, greatest = self.score_range
        if not least < greatest:
            raise ValueError(
                "score_range must be the least and then the greatest score. Received: "
                f"{least:g} and {greatest:g}. Swap them."
            )
        return self

    @property
    def is_scored_held_out(self) -> bool:
        """Whether held-out pairs have scores."""
        if self.held_out is not None:
            return self.held_out.label_field is not None
        return self.loss in OF_SCORES

    def objective(self) -> "EmbeddingObjective":
        """What is minimised."""
        from bert_tf.models import contrastive

        losses = {
            "ranking": lambda: contrastive.ranking(
                scale=self.scale, is_symmetric=self.is_symmetric
            ),
            "simcse": lambda: contrastive.ranking(scale=self.scale),
            "cosent": lambda: contrastive.cosent(scale=self.scale),
            "cosine": contrastive.cosine,
            "triplet": lambda: contrastive.triplet(margin=self.margin, distance=self.distance),
            "distillation": contrastive.distillation,
        }
        return contrastive.EmbeddingObjective(
            losses[self.loss](),
            held_out=None if self.held_out is None else contrastive.fitting(scale=self.scale),
            dimensions=self.matryoshka or None,
        )

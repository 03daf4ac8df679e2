"""The table of experiments: one a claim of the source notes.

Budget, of 2 cores alone, a seed: a masked LM of 2 layers about 40 s, of 6 layers 100 s, of words
two minutes, a translation two minutes; what has no seed ten minutes together. Steps, batches and
sizes are in `BASE` of each measure.
"""

from typing import Any

from benchmarks.ablations.experiment import Chart, Column, Experiment, Part
from benchmarks.ablations.masked_lm import WORDS

HEADS = (1, 2, 4, 8, 16)
WIDTH = 128
LENGTHS = (64, 128, 256, 512)
LOSS = Column("loss", "held-out loss, nats")
ACCURACY = Column("masked_lm_accuracy", "accuracy", "{:.1%}")
PARAMETERS = Column("parameters", "parameters", "{:,.0f}")
FIRST_GRADIENT = Column("first_gradient", "gradient norm, first tenth", "{:.2f}")
LARGEST_GRADIENT = Column("largest_gradient", "the largest", "{:.2f}")
SKIPPED = Column("skipped_steps", "steps not finite", "{:.0f}")
LOSS_CHART = Chart(("loss",), "held-out masked-LM loss (nats)")
BASE: dict[str, Any] = {}
DEEP = {"num_layers": 6}


def _times(kinds: list[str], lengths: tuple[int, ...], title: str) -> Part:
    return Part(
        title,
        "layer_time",
        {f"{length}": {"length": length, "kinds": kinds} for length in lengths},
        tuple(Column(kind, f"{kind}, ms", "{:.1f}") for kind in kinds),
        Chart(tuple(kinds), "ms a step of one layer", over="length", scale="log"),
        is_seeded=False,
    )


def _masked_lm(
    title: str,
    variants: dict[str, dict[str, Any]],
    reference: str | dict[str, str],
    *columns: Column,
) -> Part:
    return Part(
        title, "masked_lm", variants, (LOSS, ACCURACY, *columns), LOSS_CHART, reference=reference
    )


ADDITIVE_KINDS = ["dot product", "additive", "additive, recomputed"]
ADDITIVE = Experiment(
    "additive",
    "Additive attention scores better than the dot product, and is hard to run in parallel.",
    "Bahdanau et al. 2015, appendix A.1.2; Vaswani et al. 2017, section 3.2.1",
    (
        _times(ADDITIVE_KINDS, LENGTHS, "Time of one layer, forward and backward, by length"),
        Part(
            "Memory of the same, by length",
            "layer_memory",
            {
                f"{kind}, {length}": {"kind": kind, "length": length}
                for kind in ADDITIVE_KINDS
                for length in LENGTHS
            },
            (Column("mib", "MiB added to the peak", "{:.0f}"),),
            Chart(
                ("mib",),
                "MiB of one layer",
                over="length",
                group=lambda settings: settings["kind"],
                scale="log",
            ),
            is_seeded=False,
        ),
        _masked_lm(
            "Loss at equal steps",
            {"dot product": BASE, "additive": {"attention": "additive"}},
            "dot product",
            PARAMETERS,
            Column("ms_a_step", "ms a step", "{:.0f}"),
        ),
    ),
)

DIVIDED = {"dot product": "divided", "unscaled": "not divided"}
SIZES = tuple(2**power for power in range(2, 11))
SCALING = Experiment(
    "scaling",
    "Products of long vectors grow so large that values jump: divide by the root of the size.",
    "Vaswani et al. 2017, section 3.2.1",
    (
        Part(
            "What the softmax leaves of a gradient, by head size",
            "softmax_gradient",
            {
                f"{'divided' if is_scaled else 'not divided'}, {size}": {
                    "head_size": size,
                    "is_scaled": is_scaled,
                }
                for is_scaled in (True, False)
                for size in SIZES
            },
            (
                Column("gradient", "norm of d weights / d scores, median", "{:.4f}"),
                Column("gradient_mean", "mean", "{:.4f}"),
                Column("largest_weight", "largest weight, mean"),
                Column("score_deviation", "deviation of scores", "{:.1f}"),
            ),
            Chart(
                ("gradient",),
                "norm of d weights / d scores, median",
                over="head_size",
                group=lambda settings: "divided" if settings["is_scaled"] else "not divided",
                scale="log",
            ),
        ),
        _masked_lm(
            "Training, by head size",
            {
                f"{DIVIDED[kind]}, {heads} of {WIDTH // heads}": {
                    "num_heads": heads,
                    "attention": kind,
                }
                for heads in (16, 4, 1)
                for kind in DIVIDED
            },
            {
                f"not divided, {heads} of {WIDTH // heads}": f"divided, {heads} of {WIDTH // heads}"
                for heads in (16, 4, 1)
            },
            FIRST_GRADIENT,
            LARGEST_GRADIENT,
            SKIPPED,
        ),
    ),
)

HEADS_EXPERIMENT = Experiment(
    "heads",
    "A vector of 128 cut into 8 heads of 16: each a channel that maps other information.",
    "Vaswani et al. 2017, section 3.2.2 and table 3 (A)",
    (
        _masked_lm(
            "One to sixteen heads at equal width",
            {f"{heads} of {WIDTH // heads}": {"num_heads": heads} for heads in HEADS},
            "8 of 16",
            PARAMETERS,
        ),
    ),
)

RESIDUAL = Experiment(
    "residual",
    "Residual connections are put in or left out, by implementation.",
    "Vaswani et al. 2017, section 3.1; Xiong et al. 2020",
    tuple(
        _masked_lm(
            title,
            {
                "post-LN": depth,
                "pre-LN": {**depth, "norm_first": True},
                "post-LN, no residuals": {**depth, "has_residual": False},
                **more,
            },
            "post-LN",
            FIRST_GRADIENT,
            LARGEST_GRADIENT,
        )
        for title, depth, more in (
            ("2 layers", BASE, {}),
            (
                "6 layers",
                DEEP,
                {
                    "post-LN, no warm-up": {**DEEP, "warmup_share": 0.0},
                    "pre-LN, no warm-up": {**DEEP, "norm_first": True, "warmup_share": 0.0},
                },
            ),
        )
    ),
)

POSITIONS = Experiment(
    "positions",
    "Sines and cosines give each position a value of its own; BERT says they are not needed.",
    "Vaswani et al. 2017, section 3.5 and table 3 (E); Devlin et al. 2019, section 3; "
    "Haviv et al. 2022",
    (
        _masked_lm(
            "BERT: masked tokens",
            {
                "learned": BASE,
                "sinusoidal": {"positions": "sinusoidal"},
                "none": {"positions": "none"},
            },
            "learned",
            PARAMETERS,
        ),
        Part(
            "Transformer: English to German",
            "translation",
            {
                "sinusoidal": {},
                "learned": {"encoder_positions": "learned", "decoder_positions": "learned"},
                "none in the decoder": {"decoder_positions": "none"},
                "none": {"encoder_positions": "none", "decoder_positions": "none"},
            },
            (LOSS, Column("target_token_accuracy", "accuracy", "{:.1%}"), PARAMETERS),
            Chart(("loss",), "held-out loss a target token (nats)"),
            reference="sinusoidal",
        ),
    ),
)

OBJECTIVE = Experiment(
    "objective",
    "BERT learns masked tokens (10% mask, 10% random, 80% as they are) and whether two sentences "
    "follow each other.",
    "Devlin et al. 2019, section 3.1 and table 5; Liu et al. 2019",
    (
        _masked_lm(
            "Masked tokens alone and with next sentences; the notes' split",
            {
                "masked tokens": WORDS,
                "masked tokens, next sentence": {**WORDS, "next_sentence": True},
                "masked tokens, the notes' split": {**WORDS, "mask_share": 0.1},
            },
            "masked tokens",
            Column("next_sentence_accuracy", "next-sentence accuracy", "{:.1%}"),
            Column("next_sentence_majority", "always the same answer", "{:.1%}"),
        ),
    ),
)

PARALLEL_KINDS = ["dot product", "LSTM", "convolution"]
PARALLEL = Experiment(
    "parallel",
    "Self-attention has no sequential operation, costs O(1) a layer and joins all positions in one "
    "layer, where a convolution needs log n.",
    "Vaswani et al. 2017, table 1",
    (
        _times(
            PARALLEL_KINDS, (*LENGTHS, 1024), "Time of one layer, forward and backward, by length"
        ),
        Part(
            "Operations one after the other, and layers between first and last",
            "dependencies",
            {
                f"{kind}, {length}": {"kind": kind, "length": length}
                for kind in (*PARALLEL_KINDS, "dilated convolution")
                for length in (8, 16, 32, 64)
            },
            (
                Column("chain", "longest chain of operations in a layer", "{:.0f}"),
                Column("layers", "layers from first to last position", "{:.0f}"),
            ),
            Chart(
                ("chain",),
                "operations one after the other",
                over="length",
                group=lambda settings: settings["kind"],
                scale="log",
            ),
            is_seeded=False,
        ),
    ),
)

TEACHER_FORCING = Experiment(
    "teacher_forcing",
    "The sequence-to-sequence model made parallel: less training time.",
    "Vaswani et al. 2017, section 3.2.3",
    (
        Part(
            "Loss and gradients of a batch, all positions at once or one by one",
            "teacher_forcing",
            {f"{length}": {"length": length} for length in (8, 16, 32, 64)},
            (
                Column("in one pass", "in one pass, ms", "{:.0f}"),
                Column("one by one", "one by one, ms", "{:.0f}"),
                Column("loss_difference", "losses differ by", "{:.0e}"),
                Column("gradient_difference", "gradients", "{:.0e}"),
            ),
            Chart(
                ("in one pass", "one by one"),
                "ms of a batch's loss and gradients",
                over="length",
                scale="log",
            ),
            is_seeded=False,
        ),
    ),
)

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        ADDITIVE,
        SCALING,
        HEADS_EXPERIMENT,
        RESIDUAL,
        POSITIONS,
        OBJECTIVE,
        PARALLEL,
        TEACHER_FORCING,
    )
}

"""The table of GLUE's sets, a row each, and the published numbers of BERT-base.

Files as the benchmark's own archives have them, which know no quotes; CoLA's have no header.
"""

from typing import Any

from bert_tf.benchmark_tables.sets import Benchmark, BenchmarkSet, Layout, Published, Score, recipe

# Devlin et al. 2019, section 4.1: 3 epochs of 32; the rate of google-research/bert's README.
RECIPE = recipe(learning_rate=2e-5, num_epochs=3)
PLAIN = {"quoting": "none"}
ACCURACY = Score("accuracy", "classification_accuracy")
F1 = Score("F1", "f1")


def _columns(text: str, pair: str | None, label: str, **table: Any) -> dict[str, Any]:
    return {
        "text_field": text,
        "text_pair_field": pair,
        "label_field": label,
        "table": {**PLAIN, **table},
    }


def _layout(
    *folders: str,
    columns: dict[str, Any],
    train: str = "train.tsv",
    held_out: str = "dev.tsv",
    **options: Any,
) -> Layout:
    return Layout(
        train=tuple(f"{folder}/{train}" for folder in folders),
        held_out=tuple(f"{folder}/{held_out}" for folder in folders),
        finetuning=columns,
        split_field=columns["text_field"],
        **options,
    )


_COLA = _columns("4", None, "2", has_header=False)
_MRPC = _columns("#1 String", "#2 String", "Quality")
_PAIR = _columns("sentence1", "sentence2", "label")
_MNLI = _columns("sentence1", "sentence2", "gold_label")

GLUE = Benchmark(
    name="glue",
    title="GLUE",
    recipe_source="Devlin et al. 2019, section 4.1, with the learning rate of google-research/bert",
    sets=(
        BenchmarkSet(
            name="cola",
            title="CoLA",
            layouts=(
                _layout("cola", columns=_COLA),
                Layout(
                    train=("in_domain_train.tsv",),
                    held_out=("in_domain_dev.tsv",),
                    finetuning=_COLA,
                    split_field="4",
                ),
            ),
            task={"name": "classification"},
            recipe=RECIPE,
            scores=(Score("Matthews", "matthews"),),
        ),
        BenchmarkSet(
            name="sst2",
            title="SST-2",
            layouts=(_layout("sst-2", "sst2", columns=_columns("sentence", None, "label")),),
            task={"name": "classification"},
            recipe=RECIPE,
            scores=(ACCURACY,),
        ),
        BenchmarkSet(
            name="mrpc",
            title="MRPC",
            layouts=(
                _layout("mrpc", columns=_MRPC),
                Layout(
                    train=("msr_paraphrase_train.txt",),
                    held_out=("msr_paraphrase_test.txt",),
                    finetuning=_MRPC,
                    split_field="#1 String",
                ),
            ),
            task={"name": "classification", "positive_class": "1"},
            recipe=RECIPE,
            scores=(ACCURACY, F1),
        ),
        BenchmarkSet(
            name="qqp",
            title="QQP",
            layouts=(
                _layout(
                    "qqp",
                    columns=_columns("question1", "question2", "is_duplicate"),
                    skips_short_rows=True,
                ),
            ),
            task={"name": "classification", "positive_class": "1"},
            recipe=RECIPE,
            scores=(ACCURACY, F1),
        ),
        BenchmarkSet(
            name="stsb",
            title="STS-B",
            layouts=(
                _layout("sts-b", "stsb", columns=_columns("sentence1", "sentence2", "score")),
            ),
            task={"name": "regression", "range": [0.0, 5.0]},
            recipe=RECIPE,
            scores=(Score("Pearson", "pearson"), Score("Spearman", "spearman")),
        ),
        BenchmarkSet(
            name="mnli",
            title="MNLI",
            layouts=(
                _layout(
                    "mnli",
                    columns=_MNLI,
                    held_out="dev_matched.tsv",
                    beside={"mismatched": ("mnli/dev_mismatched.tsv",)},
                ),
            ),
            task={"name": "classification"},
            recipe=RECIPE,
            scores=(
                Score("m accuracy", "classification_accuracy"),
                Score("mm accuracy", "classification_accuracy", "mismatched"),
            ),
        ),
        BenchmarkSet(
            name="qnli",
            title="QNLI",
            layouts=(_layout("qnli", columns=_columns("question", "sentence", "label")),),
            task={"name": "classification"},
            recipe=RECIPE,
            scores=(ACCURACY,),
        ),
        BenchmarkSet(
            name="rte",
            title="RTE",
            layouts=(_layout("rte", columns=_PAIR),),
            task={"name": "classification"},
            recipe=RECIPE,
            scores=(ACCURACY,),
        ),
        BenchmarkSet(
            name="wnli",
            title="WNLI",
            layouts=(_layout("wnli", columns=_PAIR),),
            task={"name": "classification"},
            recipe=RECIPE,
            scores=(ACCURACY,),
        ),
    ),
    published=(
        Published(
            model="BERT-base",
            split="test, GLUE's server",
            source="Devlin et al. 2019, table 1: of MRPC and QQP F1, of STS-B Spearman alone",
            values={
                "cola": (52.1,),
                "sst2": (93.5,),
                "mrpc": (None, 88.9),
                "qqp": (None, 71.2),
                "stsb": (None, 85.8),
                "mnli": (84.6, 83.4),
                "qnli": (90.5,),
                "rte": (66.4,),
            },
        ),
        Published(
            model="BERT-base, cased",
            split="dev, one run",
            source="huggingface/transformers, examples/pytorch/text-classification/README.md "
            "(rate 2e-5, 3 epochs of 32, of MRPC and WNLI 5)",
            values={
                "cola": (56.53,),
                "sst2": (92.32,),
                "mrpc": (84.07, 88.85),
                "qqp": (90.71, 87.49),
                "stsb": (88.64, 88.48),
                "mnli": (83.91, 84.10),
                "qnli": (90.66,),
                "rte": (65.70,),
                "wnli": (56.34,),
            },
        ),
    ),
)

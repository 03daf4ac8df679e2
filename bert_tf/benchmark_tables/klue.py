"""The table of KLUE's sets, a row each, other Korean sets, and KLUE-BERT-base's published numbers.

Recipes are those of KLUE-baseline's run_all.sh for klue/bert-base.
"""

from typing import Any

from bert_tf.benchmark_tables.relations import MARKED, mark_relations
from bert_tf.benchmark_tables.sets import Benchmark, BenchmarkSet, Layout, Published, Score, recipe

ACCURACY = Score("accuracy", "classification_accuracy")
PEARSON = Score("Pearson", "pearson")
UNSMILE_LABELS = (
    *("여성/가족", "남성", "성소수자", "인종/국적", "연령", "지역", "종교"),
    *("기타 혐오", "악플/욕설", "clean"),
)


def _recipe(*, num_epochs: float, warmup_share: float = 0.1, **options: Any) -> dict[str, Any]:
    optimizer = {"warmup_share": warmup_share, "weight_decay_rate": 0.0}
    settings: dict[str, Any] = {"learning_rate": 5e-5, "num_epochs": num_epochs, **options}
    return recipe(**settings, optimizer=optimizer)


def _published(name: str, ending: str, *, folder: str, **options: Any) -> Layout:
    """KLUE's archive, of any version, or a folder with `train` and `dev`."""
    return Layout(
        train=(f"{name}-v*_train.{ending}", f"{folder}/train.{ending}"),
        held_out=(f"{name}-v*_dev.{ending}", f"{folder}/dev.{ending}"),
        **options,
    )


def _pairs(first: str, second: str, label: str) -> dict[str, Any]:
    return {
        "finetuning": {"text_field": first, "text_pair_field": second, "label_field": label},
        "split_field": first,
    }


_QUESTIONS = {"text_field": "question", "text_pair_field": "context"}
_SQUAD_RECIPE = recipe(
    # google-research/bert's README, for SQuAD 1.1 and BERT-base.
    learning_rate=3e-5,
    num_epochs=2,
    batch_size=12,
    max_seq_length=384,
    window_stride=128,
)

_SETS = (
    BenchmarkSet(
        name="tc",
        title="TC",
        layouts=(
            _published(
                "ynat",
                "json",
                folder="klue_tc",
                finetuning={"text_field": "title", "label_field": "label"},
                split_field="title",
            ),
        ),
        task={"name": "classification"},
        recipe=_recipe(num_epochs=4),
        scores=(Score("macro F1", "macro_f1"),),
    ),
    BenchmarkSet(
        name="sts",
        title="STS",
        layouts=(
            _published(
                "klue-sts",
                "json",
                folder="klue_sts",
                **_pairs("sentence1", "sentence2", "labels.real-label"),
            ),
        ),
        task={"name": "regression", "range": [0.0, 5.0], "threshold": 3.0},
        recipe=_recipe(num_epochs=4),
        scores=(PEARSON, Score("F1", "binary_f1")),
    ),
    BenchmarkSet(
        name="nli",
        title="NLI",
        layouts=(
            _published(
                "klue-nli",
                "json",
                folder="klue_nli",
                **_pairs("premise", "hypothesis", "gold_label"),
            ),
        ),
        task={"name": "classification"},
        recipe=_recipe(num_epochs=5),
        scores=(ACCURACY,),
    ),
    BenchmarkSet(
        name="ner",
        title="NER",
        layouts=(
            _published(
                "klue-ner",
                "tsv",
                folder="klue_ner",
                finetuning={"table": {"layout": "token_columns"}},
            ),
        ),
        task={"name": "token_labels", "units": "pieces"},
        recipe=_recipe(num_epochs=3, warmup_share=0.0, max_seq_length=510),
        scores=(
            Score("entity F1", "macro_f1"),
            Score("character F1", "klue_character_macro_f1"),
        ),
    ),
    BenchmarkSet(
        name="re",
        title="RE",
        layouts=(
            _published(
                "klue-re",
                "json",
                folder="klue_re",
                finetuning={"text_field": MARKED, "label_field": "label"},
                split_field="sentence",
                converted=mark_relations,
            ),
        ),
        task={"name": "classification", "negative_class": "no_relation"},
        recipe=_recipe(num_epochs=3, max_seq_length=256),
        scores=(Score("micro F1", "micro_f1"), Score("AUPRC", "macro_average_precision")),
    ),
    BenchmarkSet(
        name="mrc",
        title="MRC",
        layouts=(
            _published(
                "klue-mrc", "json", folder="klue_mrc", finetuning=_QUESTIONS, split_field="context"
            ),
        ),
        # KLUE-baseline gives no answer where that is likelier than the best one.
        task={"name": "question_answering", "no_answer": 0.0},
        recipe=_recipe(
            num_epochs=5,
            warmup_share=0.0,
            learning_rate=3e-5,
            batch_size=16,
            max_seq_length=512,
            window_stride=128,
        ),
        scores=(Score("EM", "klue_exact_match"), Score("ROUGE-W", "klue_rouge_w")),
    ),
)

_FURTHER_SETS = (
    BenchmarkSet(
        name="korquad",
        title="KorQuAD 1.0",
        layouts=(
            Layout(
                train=("korquad_v1.0_train.json", "korquad/train.json"),
                held_out=("korquad_v1.0_dev.json", "korquad/dev.json"),
                finetuning=_QUESTIONS,
                split_field="context",
            ),
        ),
        task={"name": "question_answering", "no_answer": "never"},
        recipe=_SQUAD_RECIPE,
        scores=(Score("EM", "korquad_exact_match"), Score("F1", "korquad_f1")),
    ),
    BenchmarkSet(
        name="korsts",
        title="KorSTS",
        layouts=(
            Layout(
                train=("sts-train.tsv", "korsts/train.tsv"),
                held_out=("sts-dev.tsv", "korsts/dev.tsv"),
                finetuning={
                    "text_field": "sentence1",
                    "text_pair_field": "sentence2",
                    "label_field": "score",
                    "table": {"quoting": "none"},
                },
                split_field="sentence1",
            ),
        ),
        task={"name": "regression", "range": [0.0, 5.0]},
        recipe=_recipe(num_epochs=4),
        scores=(Score("Spearman", "spearman"), PEARSON),
    ),
    BenchmarkSet(
        name="unsmile",
        title="UnSmile",
        layouts=(
            Layout(
                train=("unsmile_train_v1.0.tsv", "unsmile/train.tsv"),
                held_out=("unsmile_valid_v1.0.tsv", "unsmile/valid.tsv"),
                finetuning={"text_field": "문장", "table": {"quoting": "none"}},
                split_field="문장",
            ),
        ),
        task={"name": "multi_label", "label_fields": list(UNSMILE_LABELS)},
        recipe=_recipe(num_epochs=4),
        scores=(Score("micro F1", "micro_f1"), Score("macro F1", "macro_f1")),
    ),
    BenchmarkSet(
        name="nsmc",
        title="NSMC",
        layouts=(
            Layout(
                train=("ratings_train.txt", "nsmc/train.tsv"),
                held_out=("ratings_test.txt", "nsmc/test.tsv"),
                finetuning={
                    "text_field": "document",
                    "label_field": "label",
                    "table": {"quoting": "none"},
                },
                split_field="document",
            ),
        ),
        task={"name": "classification"},
        recipe=_recipe(num_epochs=4),
        scores=(ACCURACY,),
    ),
)

KLUE = Benchmark(
    name="klue",
    title="KLUE",
    recipe_source="KLUE-benchmark/KLUE-baseline, run_all.sh, for klue/bert-base",
    sets=_SETS,
    further_sets=_FURTHER_SETS,
    published=(
        Published(
            model="KLUE-BERT-base",
            split="on what split the source does not say",
            source="Park et al. 2021 as KLUE-benchmark/KLUE's README has its baseline scores now; "
            "relations marked by special tokens",
            values={
                "tc": (85.73,),
                "sts": (90.85, 82.84),
                "nli": (81.63,),
                "ner": (83.97, 91.39),
                "re": (66.44, 66.17),
                "mrc": (62.32, 68.51),
            },
        ),
    ),
)

"""What is found in labelled examples before training: numbers by hand, and on real data."""

import json
import logging
import unicodedata

import numpy as np
import pytest
from matplotlib import image

from bert_tf.config import FinetuningConfig, validate_config
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.tasks.classification import Classification
from bert_tf.tasks.inspection.files import write_report
from bert_tf.tasks.inspection.log import log_counts
from bert_tf.tasks.inspection.page import to_markdown
from bert_tf.tasks.inspection.report import inspect_examples
from bert_tf.tasks.multi_label import MultiLabel
from bert_tf.tasks.regression import Regression
from bert_tf.tasks.table import find_task, open_task
from tests.labelled import make_examples
from tests.tasks.agreement import Agreement

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "나무"]
NFD = unicodedata.normalize("NFD", "나무")


def inspect(task, *parts, **options):
    return inspect_examples(task, *parts, **{"max_seq_length": 8, **options})


def counts_of(report):
    return {target.name: target.counts for target in report.targets}


def test_classes_lengths_cuts_and_unknown_words_are_counted():
    train = make_examples(
        ["good film", "good " * 6, "film " * 7, "unheard good"], ["좋음", "좋음", "나쁨", "좋음"]
    )
    held_out = make_examples(["film"], ["나쁨"])
    report = inspect(Classification(), train, held_out, tokenizer=WordPieceTokenizer(TOKENS))
    part, other = report.parts
    assert counts_of(report) == {"좋음": (3, 0), "나쁨": (1, 1)}
    assert part.lengths.tolist() == [4, 8, 9, 4]  # with [CLS] and [SEP]
    assert (part.num_cut, part.num_tokens, part.num_unknown) == (1, 17, 1)
    assert (other.num_cut, other.num_tokens, other.num_unknown) == (0, 1, 0)
    assert [shown.where for shown in part.shortest] == ["row 1", "row 4", "row 2"]
    assert [(shown.where, shown.length) for shown in part.longest[:2]] == [
        *(("row 3", 9), ("row 2", 8))
    ]
    page = to_markdown(report)
    assert "| will be cut | 1 (25.00%) | 0 (0.00%) |" in page
    assert "| [UNK] among tokens | 1 (5.88%) | 0 (0.00%) |" in page
    assert (
        "| most frequent to rarest target | 3.0 to 1 (좋음: 3, 나쁨: 1) | no two targets |" in page
    )


def test_of_a_pair_both_texts_and_three_special_tokens_count():
    train = make_examples(
        ["good film", "good"], [0.5, 1.0], pairs=["good good good", "good good good good good"]
    )
    report = inspect(Regression(), train, tokenizer=WordPieceTokenizer(TOKENS))
    assert report.parts[0].lengths.tolist() == [8, 9]
    assert report.parts[0].num_cut == 1


def test_of_choices_the_longest_stands_beside_the_text():
    columns = {
        "text": ["film", "good"],
        "choices": [["film", "good good film"], ["a", "good"]],
        "label": [1, 0],
    }
    task = find_task("multiple_choice")(name="multiple_choice")
    examples = task.read(Table.from_columns(columns), FinetuningConfig())
    report = inspect(task, examples, tokenizer=WordPieceTokenizer(TOKENS), max_seq_length=6)
    (part,) = report.parts
    assert part.lengths.tolist() == [1 + 3 + 3, 1 + 1 + 3]
    assert (part.num_cut, part.num_tokens) == (1, 1 + 1 + 3 + 1 + 1 + 1)
    assert inspect(task, examples).parts[0].lengths.tolist() == [4 + 14, 4 + 4]


def test_without_a_tokenizer_lengths_are_characters_and_the_page_says_so():
    report = inspect(Classification(), make_examples(["나무", "a film"], ["a", "b"]))
    assert report.unit == "characters"
    assert report.parts[0].lengths.tolist() == [2, 6]
    assert report.parts[0].num_cut is None
    page = to_markdown(report)
    assert "Lengths are in characters, since no tokenizer is given" in page
    assert "will be cut |" not in page


def test_conflicts_and_leaks_are_found_across_unicode_forms_and_white_space():
    train = make_examples(["나무", "good", NFD + " ", "good", "나무"], ["a", "b", "c", "b", "a"])
    held_out = make_examples(["film", f" {NFD}"], ["a", "c"])
    report = inspect(Classification(), train, held_out)
    part = report.parts[0]
    assert part.num_duplicates == 3
    assert part.num_conflicts == 1
    (conflict,) = part.conflicts
    assert [(shown.where, shown.target) for shown in conflict] == [("row 1", "a"), ("row 3", "c")]
    assert report.num_leaks == 1
    (leak,) = report.leaks
    assert [(shown.where, shown.target) for shown in leak] == [("row 1", "a"), ("row 2", "c")]
    page = to_markdown(report)
    assert "## Same text, different targets: train\n\nAll 1.\n" in page
    assert "| row 1 | a | row 3 | c | `나무` |" in page
    assert "| in the training data, too |  | 1 (50.00%) |" in page


def test_of_many_conflicts_and_leaks_the_first_ten_are_listed():
    texts = [f"text {number}" for number in range(30)]
    train = make_examples([*texts, *texts], ["a"] * 30 + ["b"] * 30)
    report = inspect(Classification(), train, make_examples(texts, ["a"] * 30))
    assert (report.parts[0].num_conflicts, len(report.parts[0].conflicts)) == (30, 10)
    assert (report.num_leaks, len(report.leaks)) == (30, 10)
    assert to_markdown(report).count("The first 10 of 30.") == 2


def test_labels_are_counted_each_and_texts_without_one_are_no_label():
    train = make_examples(["a", "b", "c", "a"], [("비난", "욕설"), ("비난",), (), ("비난",)])
    held_out = make_examples(["d", "e"], [("지역",), ()])
    report = inspect(MultiLabel(), train, held_out)
    assert counts_of(report) == {
        "비난": (3, 0),
        "(none)": (1, 1),
        "욕설": (1, 0),
        "지역": (0, 1),
    }
    assert report.unseen_targets == ["지역"]
    (conflict,) = report.parts[0].conflicts
    assert [shown.target for shown in conflict] == ["비난, 욕설", "비난"]
    page = to_markdown(report)
    assert "A model cannot learn them: 지역." in page
    assert "3.0 to 1 (비난: 3, 욕설: 1)" in page


def test_few_numbers_are_counted_each_and_many_in_bins_that_parts_share():
    few = inspect(Regression(), make_examples(["a", "b", "c"], [1.0, 2.5, 1.0]))
    assert counts_of(few) == {"1": (2,), "2.5": (1,)}
    assert few.bin_edges is None
    many = inspect(
        Regression(),
        make_examples([f"t {n}" for n in range(101)], [n / 10 for n in range(101)]),
        make_examples(["held out"], [20.0]),
    )
    assert len(many.targets) == 20
    np.testing.assert_allclose(many.bin_edges, np.arange(21))
    assert counts_of(many)["3 – 4"] == (10, 0)
    assert counts_of(many)["19 – 20"] == (0, 1)
    assert many.unseen_targets == []
    page = to_markdown(many)
    assert "| targets, least / median / greatest | 0 / 5 / 10 | 20 / 20 / 20 |" in page
    assert "most frequent to rarest" not in page


def test_a_task_from_outside_whose_targets_are_floats_has_bins():
    report = inspect(Agreement(name="agreement"), make_examples(["a", "b"], [0.25, 0.5]))
    assert counts_of(report) == {"0.25": (1,), "0.5": (1,)}
    assert report.has_numbers


def test_bins_of_numbers_that_hardly_differ_have_names_of_their_own():
    scores = [1e6 + number / 100 for number in range(50)]
    report = inspect(Regression(), make_examples([f"t {score}" for score in scores], scores))
    assert len(counts_of(report)) == 20
    assert sum(count for (count,) in counts_of(report).values()) == 50


def test_texts_without_a_visible_character_are_told_and_are_not_the_shortest():
    train = make_examples(
        ["good", " \u200b", "film", "good"], ["a", "b", "a", "a"], pairs=["x", "y", "", "xx"]
    )
    part = inspect(Classification(), train).parts[0]
    assert part.num_empty == 2
    assert [shown.where for shown in part.empty] == ["row 2", "row 3"]
    assert [shown.where for shown in part.shortest] == ["row 1", "row 4"]


def test_of_many_classes_forty_are_shown_and_the_rest_pooled(tmp_path):
    targets = [f"의도 {number:03d}" for number in range(300) for _ in range(1 + (number < 39))]
    texts = [f"text {number}" for number in range(len(targets))]
    report = inspect(Classification(), make_examples(texts, targets))
    page = write_report(report, tmp_path).read_text("utf-8")
    assert "| 39 | 의도 038 | 2 | 0.59% |" in page
    assert "| 40 | other (261 targets) | 261 | 76.99% |" in page
    assert "의도 039 |" not in page.partition("## Lengths")[0].partition("## Targets")[2]
    height, width, _ = image.imread(tmp_path / "labelled_targets.png").shape
    assert height < 2000
    assert width < 1200
    assert (
        len(json.loads((tmp_path / "labelled.json").read_text("utf-8"))["train"]["targets"]) == 300
    )


def test_texts_with_marks_and_line_breaks_leave_the_page_whole():
    train = make_examples(["a | b\n# `code` <b>", "x" * 500], ["a", "b"])
    page = to_markdown(inspect(Classification(), train))
    assert "`` a \\| b # `code` <b> ``" in page
    assert f"`{'x' * 79}…`" in page


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (Classification(), ["좋음", "나쁨", "좋음"]),
        (MultiLabel(), [("욕설",), (), ("욕설", "지역")]),
        (Regression(), [0.5, 4.0, 4.0]),
        (Regression(), [3.0, 3.0, 3.0]),
    ],
)
def test_a_folder_has_page_numbers_and_pictures(tmp_path, task, targets):
    train = make_examples(["good", "film film", "good"], targets)
    held_out = make_examples(["film film", ""], targets[:2])
    report = inspect(
        task, train, held_out, tokenizer=WordPieceTokenizer(TOKENS), notes=["quotes are text"]
    )
    page = write_report(report, tmp_path / "new")
    text = page.read_text("utf-8")
    assert {path.name for path in page.parent.iterdir()} == {
        *("labelled.md", "labelled.json", "labelled_targets.png", "labelled_lengths.png")
    }
    assert "![How often each target is there](labelled_targets.png)" in text
    assert "![Lengths of the texts](labelled_lengths.png)" in text
    assert "## Noticed while reading\n\n- quotes are text\n" in text
    numbers = json.loads((page.parent / "labelled.json").read_text("utf-8"))
    assert numbers["task"] == task.name
    assert numbers["train"]["num_duplicates"] == 1
    assert numbers["held_out"]["num_empty"] == 1
    assert numbers["num_leaks"] == 1
    assert numbers["leaks"][0][0]["where"] == "row 2"


def test_one_text_many_times_longer_than_all_others_does_not_hide_them(tmp_path):
    train = make_examples(["word " * 5] * 999 + ["word " * 20_000], ["a", "b"] * 500)
    report = inspect(Classification(), train)
    write_report(report, tmp_path)
    pixels = image.imread(tmp_path / "labelled_lengths.png")[..., :3]
    is_blue = (pixels[..., 2] > 0.6) & (pixels[..., 0] < 0.2)
    assert is_blue.any(axis=0).sum() > 10, "the bar of the short texts can be seen"


def test_a_training_logs_counts_repeats_conflicts_and_leaks(caplog):
    train = make_examples(["나무", NFD, "good"], ["a", "b", "a"])
    with caplog.at_level(logging.INFO, logger="bert_tf"):
        log_counts(Classification(), train, make_examples(["good", "film"], ["a", "b"]))
    assert caplog.messages == [
        "train: 3 examples: a 2, b 1",
        "train: 1 examples have the text of another one",
        "train: 1 texts occur with different targets, such as row 1 (a) and row 2 (b); `bert-tf "
        "inspect --labelled` shows them.",
        "eval: 2 examples: a 1, b 1",
        "1 of 2 held-out examples are in the training data, too, such as row 1: metrics on them "
        "say nothing of unseen text. Take them out of one of the two.",
    ]


LABELS = [
    "여성/가족",
    "남성",
    "성소수자",
    "인종/국적",
    "연령",
    "지역",
    "종교",
    "기타 혐오",
    "악플/욕설",
    "clean",
]


@pytest.mark.parametrize(
    ("folder", "settings", "conflicts", "num_leaks"),
    [
        (("nsmc", "train.tsv", "test.tsv"), {"text_field": "document"}, 0, 0),
        (
            ("unsmile", "train.tsv", "valid.tsv"),
            {"text_field": "문장", "task": {"name": "multi_label", "label_fields": LABELS}},
            1,
            0,
        ),
        (
            ("korsts", "train.tsv", "dev.tsv"),
            {
                "text_field": "sentence1",
                "text_pair_field": "sentence2",
                "label_field": "score",
                "task": "regression",
            },
            9,
            3,
        ),
    ],
)
def test_conflicts_and_leaks_of_published_data_are_found(
    shared_data, tmp_path, folder, settings, conflicts, num_leaks
):
    name, *files = folder
    section = validate_config({"finetuning": settings}).finetuning
    task = open_task(section)
    train, held_out = (
        task.read(read_table(shared_data / "ko" / name / file, key="--labelled"), section)
        for file in files
    )
    report = inspect(task, train, held_out)
    assert report.parts[0].num_conflicts == conflicts
    assert report.num_leaks == num_leaks
    assert sum(target.counts[0] for target in report.targets) >= len(train)
    if num_leaks:
        first = report.leaks[0]
        assert first.second.where.endswith("dev.tsv:11")
        assert first.first.where.endswith("train.tsv:26")
    assert write_report(report, tmp_path).is_file()

"""Sets are found in the layouts that they are published in, and read with the right columns."""

import json

import pytest

from bert_tf.benchmark_tables.benchmark import BENCHMARKS
from bert_tf.benchmark_tables.data import prepare_data
from bert_tf.benchmark_tables.finding import find_sets
from bert_tf.benchmark_tables.glue import GLUE
from bert_tf.benchmark_tables.klue import KLUE
from bert_tf.benchmark_tables.plan import Options, set_config
from bert_tf.benchmark_tables.relations import mark_relations
from bert_tf.config import Config
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.tasks.table import open_task
from tests.benchmark_tables.published import (
    NUM_DEV,
    NUM_TRAIN,
    texts,
    write_glue,
    write_klue,
    write_tsv,
)


def read_all(benchmark, folder, out, names=None):
    """Of each set, by part, the examples that its task reads."""
    found = {}
    for it in find_sets(benchmark, folder, names=names):
        config = set_config(it, Config(), Options(model="model"))
        data = prepare_data(it, config, out)
        task = open_task(config.finetuning)
        found[it.spec.name] = {
            part: task.read(
                read_table(path, config=config.finetuning.table, key="--data"), config.finetuning
            )
            for part, path in data.paths.items()
        }
        assert data.num_examples == {part: len(it) for part, it in found[it.spec.name].items()}
    return found


def test_all_sets_of_glue_are_found_and_read(tmp_path):
    found = read_all(GLUE, write_glue(tmp_path / "glue"), tmp_path / "out")
    assert list(found) == [spec.name for spec in GLUE.sets]
    for name, parts in found.items():
        assert len(parts["train"]) == NUM_TRAIN, name
        assert len(parts["held_out"]) == NUM_DEV, name
    assert len(found["mnli"]["mismatched"]) == NUM_DEV
    assert found["cola"]["train"].inputs["text"] == texts(NUM_TRAIN)
    assert found["cola"]["train"].targets[:3] == ["0", "1", "0"]
    assert found["sst2"]["train"].inputs["text"][0] == '"good film a a'
    assert found["mrpc"]["train"].inputs["text_pair"] == texts(NUM_TRAIN)
    assert found["stsb"]["train"].targets[:7] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0]
    assert found["qnli"]["train"].targets[:2] == ["entailment", "not_entailment"]


def test_the_corpora_s_own_files_are_found_too(tmp_path):
    for split, count, start in (("train", NUM_TRAIN, 0), ("dev", NUM_DEV, 64)):
        rows = [["gj04", str(i % 2), "", it] for i, it in enumerate(texts(count, start))]
        write_tsv(tmp_path / "cola_public" / "raw" / f"in_domain_{split}.tsv", rows)
    header = ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    for split, count in (("train", NUM_TRAIN), ("test", NUM_DEV)):
        rows = [[str(i % 2), "1", "2", f'"{it}', it] for i, it in enumerate(texts(count))]
        write_tsv(tmp_path / f"msr_paraphrase_{split}.txt", [header, *rows])
    found = read_all(GLUE, tmp_path, tmp_path / "out")
    assert list(found) == ["cola", "mrpc"]
    assert len(found["mrpc"]["held_out"]) == NUM_DEV
    assert found["mrpc"]["train"].inputs["text"][0] == '"good film a a'


def test_all_sets_of_klue_are_found_and_read(tmp_path):
    found = read_all(KLUE, write_klue(tmp_path / "klue"), tmp_path / "out")
    assert list(found) == ["tc", "sts", "nli", "ner", "re", "mrc"]
    for name, parts in found.items():
        counts = {part: len(examples) for part, examples in parts.items()}
        assert counts == {"train": NUM_TRAIN, "held_out": NUM_DEV}, name
    assert found["tc"]["train"].targets[:2] == ["정경", "치제"]
    assert found["sts"]["train"].targets[:2] == [0.0, 1.0]
    assert [span.label for span in found["ner"]["train"].targets[0]] == ["LC"]
    marked = found["re"]["train"].inputs["text"][0]
    assert marked == "@ * LOC * 서울 @ 에 # ^ POH ^ 한강 # 이 good film a a"


def test_a_set_with_one_part_is_split_by_its_texts_alone(tmp_path):
    folder = tmp_path / "ko" / "klue_nli"
    folder.mkdir(parents=True)
    rows = [
        {"premise": it, "hypothesis": other, "gold_label": "neutral"}
        for it in texts(60)
        for other in ("a", "b")
    ]
    (folder / "dev.json").write_text(json.dumps(rows), "utf-8")
    (nli,) = find_sets(KLUE, tmp_path / "ko")
    config = set_config(nli, Config(), Options(model="model"))
    data = prepare_data(nli, config, tmp_path / "out")
    assert "Only dev.json is there (no training part)" in str(data.note)
    sides = {
        part: {json.loads(line)["premise"] for line in path.read_text("utf-8").splitlines()}
        for part, path in data.paths.items()
    }
    assert sides["train"] | sides["held_out"] == set(texts(60))
    assert not sides["train"] & sides["held_out"]
    assert 4 <= len(sides["held_out"]) <= 24
    again = prepare_data(nli, config, tmp_path / "again")
    assert again.sha256() == data.sha256()


def test_the_real_korean_files_are_found(shared_data):
    names = ["korquad", "korsts", "ner", "nli", "nsmc", "unsmile"]
    found = {it.spec.name: it for it in find_sets(KLUE, shared_data / "ko", names=names)}
    assert sorted(found) == names
    assert set(found["ner"].files) == set(found["nli"].files) == {"held_out"}
    assert set(found["unsmile"].files) == {"train", "held_out"}
    assert [it.spec.name for it in find_sets(KLUE, shared_data / "ko")] == ["nli", "ner"]


def test_a_folder_without_sets_says_what_was_looked_for(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"(?s)Received: none\. Looked for.*mrpc: mrpc/train.tsv"
    ):
        find_sets(GLUE, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"--data must be a folder .*no such folder"):
        find_sets(GLUE, tmp_path / "nowhere")


def test_unknown_and_missing_sets_are_refused(tmp_path):
    write_glue(tmp_path, "RTE")
    with pytest.raises(ValueError, match=r"--sets must name sets of GLUE: cola, .*Received: 'sts'"):
        find_sets(GLUE, tmp_path, names=["sts"])
    with pytest.raises(FileNotFoundError, match=r"(?s)all of the sets.*Received: rte\..*mrpc"):
        find_sets(GLUE, tmp_path, names=["rte", "mrpc"])


def test_a_damaged_file_is_named_with_its_line_before_anything_is_trained(tmp_path):
    write_glue(tmp_path, "RTE")
    path = tmp_path / "RTE" / "dev.tsv"
    path.write_text(path.read_text("utf-8").replace("\tentailment", "", 1), "utf-8")
    with pytest.raises(ValueError, match=r"RTE/dev.tsv:2: "):
        read_all(GLUE, tmp_path, tmp_path / "out")


def test_short_records_of_qqp_are_left_out_and_told(tmp_path):
    write_glue(tmp_path, "QQP")
    path = tmp_path / "QQP" / "train.tsv"
    whole = path.read_text("utf-8")
    path.write_text(f"{whole}9\t1\t2\tcut\nin two\t1\n", "utf-8")
    (qqp,) = find_sets(GLUE, tmp_path)
    config = set_config(qqp, Config(), Options(model="model"))
    data = prepare_data(qqp, config, tmp_path / "out")
    assert data.num_examples == {"train": NUM_TRAIN, "held_out": NUM_DEV}
    assert data.note == "2 records without all cells are left out of train."
    path.write_text(f"{whole}9\t1\t2\ta\tb\t1\tone more\n", "utf-8")
    with pytest.raises(ValueError, match=r"train.tsv:18: a record must have the header's 6 cells"):
        prepare_data(qqp, config, tmp_path / "out")


def test_relations_that_overlap_or_lie_outside_are_refused():
    entity = {"start_idx": 0, "end_idx": 2, "type": "PER"}
    table = {"sentence": ["abcdef"], "subject_entity": [entity], "object_entity": [entity]}
    with pytest.raises(ValueError, match=r"row 1: the two entities .* must not overlap"):
        mark_relations(Table.from_columns(table))
    table["object_entity"] = [entity | {"start_idx": 4, "end_idx": 6}]
    with pytest.raises(ValueError, match=r"row 1: object_entity must lie in the sentence of 6"):
        mark_relations(Table.from_columns(table))


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=list(BENCHMARKS))
def test_published_numbers_are_as_many_as_scores(benchmark):
    scores = {spec.name: len(spec.scores) for spec in benchmark.sets}
    for row in benchmark.published:
        assert {name: len(values) for name, values in row.values.items()} == {
            name: scores[name] for name in row.values
        }

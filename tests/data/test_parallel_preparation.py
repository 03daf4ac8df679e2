"""Records of pairs: what they hold, that they are the same however made, what is refused."""

import hashlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.config import Config, validate_config, write_config
from bert_tf.data import records
from bert_tf.data.batches.encoded_pairs import (
    EncodedPairs,
    Framing,
    HeldTokens,
    PairLimits,
    encode_infilling,
    encode_pairs,
)
from bert_tf.data.batches.infilling import Infilling
from bert_tf.data.batches.parallel import budget_plan, budgeted_batches
from bert_tf.data.batches.recorded_pairs import RecordedPairs, open_recorded_pairs
from bert_tf.data.preparation import local_processes, spool
from bert_tf.data.preparation.engine import FirstPass
from bert_tf.data.preparation.parallel import prepare_parallel
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.records.parallel_manifest import read_parallel_manifest
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from tests.data.conftest import NOUNS, VERBS

NUM_PAIRS = 211


@pytest.fixture(scope="module")
def texts() -> tuple[list[str], list[str]]:
    draw = random.Random(0)
    sides = [
        [
            f"{row} " + " ".join(draw.choice(words) for _ in range(draw.randint(1, 9)))
            for row in range(NUM_PAIRS)
        ]
        for words in (NOUNS, VERBS)
    ]
    return sides[0], sides[1]


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Tokenizer, texts: tuple[list[str], list[str]]) -> Path:
    tokenizer.save(tmp_path / "vocabulary")
    for ending, side in zip(("en", "ko"), texts, strict=True):
        (tmp_path / f"text.{ending}").write_text("\n".join(side) + "\n", encoding="utf-8")
    return tmp_path


def make_config(folder: Path, *, records: dict[str, Any] | None = None, **parallel: Any) -> Config:
    return validate_config(
        {
            "tokenizer": {"vocabulary": str(folder / "vocabulary")},
            "parallel": {"paths": [str(folder / "text.{en,ko}")], **parallel},
            "records": {"num_shards": 3, "num_workers": 1, **(records or {})},
        }
    )


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in directory.iterdir() if path.name != "config.yaml"
    }


def pairs_of(found: RecordedPairs) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    rows = tf.range(len(found.targets.lengths))
    sides = (side.take(rows).to_list() for side in (found.sources, found.targets))
    return [(tuple(source), tuple(target)) for source, target in zip(*sides, strict=True)]


def open_split(directory: Path, tokenizer: Tokenizer, split: records.Split = "train") -> Any:
    return open_recorded_pairs(directory, split, tokenizer=tokenizer)


def test_the_folder_holds_every_pair_once_with_its_place(
    folder: Path, tokenizer: Tokenizer, texts: tuple[list[str], list[str]]
) -> None:
    manifest = prepare_parallel(make_config(folder, held_out_share=0.2), folder / "records")
    assert sorted(path.name for path in (folder / "records").iterdir()) == [
        "config.yaml",
        "eval-00000-of-00001.safetensors",
        "folder.json",
        "manifest.json",
        "tokenizer.json",
        *(f"train-0000{index}-of-00003.safetensors" for index in range(3)),
        "vocab.txt",
    ]
    assert read_parallel_manifest(folder / "records") == manifest
    for shard in manifest.shards:
        content = (folder / "records" / shard.name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard.sha256
    expected = [
        (tuple(source), tuple(target))
        for source, target in zip(
            *(tokenizer.tokenize(tf.constant(side)).to_list() for side in texts), strict=True
        )
    ]
    seen = []
    splits: tuple[records.Split, ...] = ("train", "eval")
    for split in splits:
        found = open_split(folder / "records", tokenizer, split)
        for row, pair in enumerate(pairs_of(found)):
            name, _, number = found.where(row).rpartition(":")
            assert name == str(folder / "text.{en,ko}")
            assert pair == expected[int(number) - 1]
            seen.append(int(number) - 1)
        assert manifest.num_examples(split) == len(found.targets.lengths)
    assert sorted(seen) == list(range(NUM_PAIRS))
    assert 20 < manifest.num_examples("eval") < 65
    num_tokens = sum(shard.num_tokens for shard in manifest.shards)
    assert num_tokens == sum(len(source) + len(target) for source, target in expected)


def test_pairs_come_in_the_order_of_the_text_whatever_the_number_of_shards(
    folder: Path, tokenizer: Tokenizer
) -> None:
    told = []
    for count in (1, 3, 7):
        config = make_config(folder, held_out_share=0.2, records={"num_shards": count})
        prepare_parallel(config, folder / f"records_{count}")
        found = open_split(folder / f"records_{count}", tokenizer)
        places = [found.where(row) for row in range(len(found.targets.lengths))]
        numbers = [int(place.rpartition(":")[2]) for place in places]
        assert numbers == sorted(numbers)
        told.append(list(zip(places, pairs_of(found), strict=True)))
    assert told[0] == told[1] == told[2]


def test_held_out_pairs_are_chosen_by_their_source_alone(
    folder: Path, tokenizer: Tokenizer
) -> None:
    rows = [{"source": f"cat {row % 50}", "target": f"dog {row}"} for row in range(200)]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = make_config(folder, paths=[str(folder / "t.jsonl")], held_out_share=0.3)
    prepare_parallel(config, folder / "records")
    train, held_out = (
        {source for source, _ in pairs_of(open_split(folder / "records", tokenizer, split))}
        for split in ("train", "eval")
    )
    assert len(train) + len(held_out) == 50
    assert held_out
    assert not train & held_out


def test_batches_of_records_are_those_of_the_same_pairs_in_memory(
    folder: Path, tokenizer: Tokenizer
) -> None:
    prepare_parallel(make_config(folder), folder / "records")
    found = open_split(folder / "records", tokenizer)
    held = [
        HeldTokens(ids, ids.row_lengths().numpy())
        for ids in (side.take(tf.range(NUM_PAIRS)) for side in (found.sources, found.targets))
    ]
    framing = Framing(tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, (tokenizer.cls_id,))

    def encode(sources: Any, targets: Any) -> EncodedPairs:
        return encode_pairs(
            sources, targets, framing=framing, limits=PairLimits(12, 10), where=found.where
        )

    def read(encoded: EncodedPairs, start_step: int) -> list[dict[str, np.ndarray]]:
        batches = budgeted_batches(
            encoded, batch_tokens=200, is_training=True, seed=4, start_step=start_step
        )
        return list(batches.take(num_batches - start_step).as_numpy_iterator())

    recorded, in_memory = encode(found.sources, found.targets), encode(*held)
    num_batches = budget_plan(recorded, batch_tokens=200).num_batches
    expected = read(in_memory, 0)
    for start_step in (0, 5):
        for left, right in zip(read(recorded, start_step), expected[start_step:], strict=True):
            assert left.keys() == right.keys()
            for name in left:
                np.testing.assert_array_equal(left[name], right[name])
    rows = np.concatenate([batch["rows"] for batch in expected])
    assert sorted(rows) == list(range(NUM_PAIRS))
    with pytest.raises(ValueError, match=r"text\.\{en,ko\}:\d+: an example must fit in a batch"):
        budget_plan(recorded, batch_tokens=8)


@pytest.fixture
def whole(folder: Path) -> dict[str, bytes]:
    """Of one process that was never interrupted."""
    prepare_parallel(make_config(folder, held_out_share=0.1), folder / "whole")
    return contents(folder / "whole")


def test_workers_that_follow_the_first_pass_write_the_same_bytes(
    folder: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_processes, "WORKER_BYTES", 1)
    monkeypatch.setattr(spool, "BUFFER_BYTES", 256)
    config = make_config(folder, held_out_share=0.1, records={"num_workers": 2})
    prepare_parallel(config, folder / "two")
    assert contents(folder / "two") == whole


def test_an_interrupted_run_goes_on_with_what_is_missing(
    folder: Path, whole: dict[str, bytes]
) -> None:
    config = make_config(folder, held_out_share=0.1)
    made: list[str] = []

    def interrupted(first_pass: FirstPass, *, num_workers: int) -> Any:
        for number, task in enumerate(first_pass.run()):
            if number == 2 and len(made) < 3:
                raise KeyboardInterrupt
            made.append(task.shard_path.name)
            yield task, task.write()

    def stop_in_first_pass(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    for options in ({"on_progress": stop_in_first_pass}, {"engine": interrupted}):
        with pytest.raises(KeyboardInterrupt):
            prepare_parallel(config, folder / "again", **options)
        assert not (folder / "again" / "manifest.json").exists()
    with pytest.raises(ValueError, match=r"(?s)one configuration.*parallel\.held_out_share: 0\.1 "):
        prepare_parallel(make_config(folder, held_out_share=0.2), folder / "again")
    made.append("")  # from here on it goes through
    prepare_parallel(config, folder / "again", engine=interrupted)
    assert Counter(made) == Counter(["", *(name for name in whole if "-of-" in name)])
    assert contents(folder / "again") == whole


def test_a_finished_folder_is_kept_and_checked(folder: Path, tokenizer: Tokenizer) -> None:
    config = make_config(folder)
    prepare_parallel(config, folder / "records")
    before = contents(folder / "records")

    def no_engine(first_pass: FirstPass, *, num_workers: int) -> Any:
        raise AssertionError("there is nothing to make")

    prepare_parallel(config, folder / "records", engine=no_engine)
    assert contents(folder / "records") == before
    shard = folder / "records" / "train-00001-of-00003.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    for read in (
        lambda: prepare_parallel(config, folder / "records"),
        lambda: open_split(folder / "records", tokenizer),
    ):
        with pytest.raises(ValueError, match=r"train-00001-of-00003\.safetensors: .* SHA-256"):
            read()
    (folder / "text.ko").write_text("x\n" * NUM_PAIRS)
    with pytest.raises(ValueError, match=r"another:\n  files\.00002 text\.ko: "):
        prepare_parallel(config, folder / "records")


def test_records_of_another_kind_or_vocabulary_are_refused(
    folder: Path, tokenizer: Tokenizer, records_dir: Path, corpus_config: Config
) -> None:
    prepare_parallel(make_config(folder), folder / "records")
    with pytest.raises(
        ValueError, match=r"records must be of a corpus\. Received: records of para"
    ):
        records.read_manifest(folder / "records")
    with pytest.raises(ValueError, match="records must be of a corpus"):
        prepare_records(corpus_config, folder / "records")
    with pytest.raises(ValueError, match="a manifest of parallel text"):
        open_split(records_dir, tokenizer)
    other = WordPieceTokenizer([*tokenizer.vocabulary, "another"])
    with pytest.raises(
        ValueError, match=rf"the model's vocabulary, SHA-256 {other.vocabulary_sha256}\. Received: "
    ):
        open_split(folder / "records", other)
    lower = WordPieceTokenizer(tokenizer.vocabulary, lower_case=True)
    with pytest.raises(
        ValueError, match=r"whose lower_case is True\. Received: False\. .* tokenizer\.lower_case="
    ):
        open_split(folder / "records", lower)
    with pytest.raises(
        ValueError, match=r"pairs of the split 'eval'\. .* parallel\.held_out_share"
    ):
        open_split(folder / "records", tokenizer, "eval")
    with pytest.raises(FileNotFoundError, match="must have a manifest"):
        open_split(folder, tokenizer)


def test_rows_at_fault_are_named_or_left_out_and_counted(
    folder: Path, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "text.en").write_text("a\n\nc\nd\ne\n")
    (folder / "text.ko").write_text("1\n2\n3\n \n5\n")
    options: dict[str, Any] = {"records": {"num_shards": 1}}
    with pytest.raises(ValueError, match=r"text\.en:2: .*parallel\.faults=skip leaves out"):
        prepare_parallel(make_config(folder, **options), folder / "records")
    manifest = prepare_parallel(make_config(folder, faults="skip", **options), folder / "records")
    assert (manifest.num_skipped, manifest.num_examples("train")) == (2, 3)
    assert "text.ko:4" in caplog.text
    found = open_split(folder / "records", tokenizer)
    assert [found.where(row)[-2:] for row in range(3)] == [":1", ":3", ":5"]


def test_texts_without_spaces_are_sources_of_records(folder: Path, tokenizer: Tokenizer) -> None:
    (folder / "t.txt").write_text("나무  사람\n\n바다 하늘\n", encoding="utf-8")
    config = make_config(
        folder,
        paths=[str(folder / "t.txt")],
        table={"layout": "lines"},
        target_field="text",
        made_by="spacing",
        records={"num_shards": 1},
    )
    prepare_parallel(config, folder / "records")
    sides = [["나무사람", "바다하늘"], ["나무 사람", "바다 하늘"]]
    expected = zip(*(tokenizer.tokenize(side).to_list() for side in sides), strict=True)
    found = pairs_of(open_split(folder / "records", tokenizer))
    assert found == [(tuple(source), tuple(target)) for source, target in expected]


def test_texts_alone_are_infilled_from_records(folder: Path, tokenizer: Tokenizer) -> None:
    texts = [f"cat dog house river stone {row % 40}" for row in range(120)]
    (folder / "t.txt").write_text("\n".join(texts))
    config = make_config(
        folder,
        paths=[str(folder / "t.txt")],
        table={"layout": "lines"},
        target_field="text",
        made_by="text",
        held_out_share=0.2,
    )
    prepare_parallel(config, folder / "records")
    train, held_out = (
        open_split(folder / "records", tokenizer, split) for split in ("train", "eval")
    )
    assert train.sources.lengths.sum() == 0
    assert not {target for _, target in pairs_of(train)} & {
        target for _, target in pairs_of(held_out)
    }
    encoded = encode_infilling(
        train.targets,
        framing=Framing(tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id),
        limits=PairLimits(16, 16),
        infilling=Infilling(tokenizer.mask_id),
        seed=1,
        where=train.where,
    )
    batch = next(iter(budgeted_batches(encoded, batch_tokens=400, is_training=True, seed=1)))
    masked = tf.reduce_any(batch["input_ids"] == tokenizer.mask_id, axis=1)
    assert tf.reduce_all(masked | (batch["weights"] == 0.0))


def test_odd_texts_go_through_as_they_are(folder: Path, tokenizer: Tokenizer) -> None:
    odd = ["a\nb", "[MASK] [SEP]", "\u2028x\u2028", '"]', "\x00 z", "é"]
    lines = [json.dumps({"source": text, "target": text}) for text in odd]
    (folder / "t.jsonl").write_text("\n".join(lines) + "\n")
    config = make_config(folder, paths=[str(folder / "t.jsonl")], records={"num_shards": 1})
    prepare_parallel(config, folder / "records")
    found = open_split(folder / "records", tokenizer)
    expected = [tuple(ids) for ids in tokenizer.tokenize(tf.constant(odd)).to_list()]
    numbers = [int(found.where(row).rpartition(":")[2]) - 1 for row in range(len(odd))]
    assert [source for source, _ in pairs_of(found)] == [expected[row] for row in numbers]
    assert not set(tokenizer.special_ids) & {token for ids in expected for token in ids}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": {"paths": ["x.txt"]}}, r"corpus\.paths must be unset beside parallel\.paths"),
        ({"records": {"compression": "gzip"}}, r"records\.compression must be none for pairs"),
        ({"records": {"num_shards": 500}}, r"500 train shard\(s\) need at least a pair each\. "),
        ({"parallel": {"paths": []}}, r"parallel\.paths must name parallel text"),
        ({"parallel": {"source_field": "en"}}, r"Set parallel\.source_field to one of them"),
        ({"parallel": {"paths": ["no.csv"]}}, r"parallel\.paths must name an existing file"),
        ({"tokenizer": {"vocabulary": None}}, r"tokenizer\.vocabulary"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    tree = make_config(folder).model_dump(mode="json")
    for section, values in changes.items():
        tree[section].update(values)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare_parallel(validate_config(tree), folder / "records")
    assert not (folder / "records" / "manifest.json").exists()


def test_the_command_makes_records_of_pairs(folder: Path) -> None:
    write_config(make_config(folder), folder)
    arguments = ["prepare", "--config", str(folder / "config.yaml")]
    result = CliRunner().invoke(main, [*arguments, "--output-dir", str(folder / "records")])
    assert result.exit_code == 0, result.output
    assert f"{NUM_PAIRS} training and 0 held-out examples" in result.output


@pytest.mark.flows
def test_ray_writes_the_same_bytes(folder: Path, whole: dict[str, bytes]) -> None:
    pytest.importorskip("ray", reason="needs the cluster extra")
    from bert_tf.data.preparation.ray_tasks import run_on_ray

    config = make_config(folder, held_out_share=0.1, records={"num_workers": 2})
    prepare_parallel(config, folder / "ray", engine=run_on_ray)
    assert contents(folder / "ray") == whole

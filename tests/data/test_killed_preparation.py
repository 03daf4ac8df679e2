"""`bert-tf prepare` killed at random moments, again and again, and what is in the folder then."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bert_tf.data.text.tokenizer import Tokenizer

WORDS = (
    *("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"),
    *("near", "one", "river", "bank", "while", "rain", "falls"),
)
NUM_KILLS = 6


def write_corpus(path: Path, *, num_documents: int) -> None:
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(num_documents):
            for _ in range(draw.randint(1, 8)):
                stream.write(" ".join(draw.choices(WORDS, k=draw.randint(3, 20))) + f" {number}. ")
            stream.write("\n\n")


def prepare(corpus: Path, vocabulary: Path, output_dir: Path) -> subprocess.Popen[bytes]:
    settings = {
        "corpus.paths": f"[{corpus}]",
        "tokenizer.vocabulary": vocabulary,
        "records.num_shards": 12,
        "records.num_workers": 2,
    }
    flags = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
    return subprocess.Popen(
        [sys.executable, "-m", "bert_tf.cli", "prepare", "--output-dir", str(output_dir), *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.mark.flows
def test_records_are_the_same_after_any_number_of_kills(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    corpus, vocabulary = tmp_path / "corpus.txt", tmp_path / "vocabulary"
    tokenizer.save(vocabulary)
    write_corpus(corpus, num_documents=220_000)  # over 64 MB: with worker processes
    draw = random.Random(7)
    num_killed = 0
    for _ in range(NUM_KILLS):
        process = prepare(corpus, vocabulary, tmp_path / "killed")
        try:
            process.wait(timeout=draw.uniform(2.0, 8.0))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)  # its workers notice, and end
            num_killed += 1
        process.communicate()
    assert num_killed > NUM_KILLS // 2, "it was done too soon to be killed"
    for name in ("killed", "whole"):
        process = prepare(corpus, vocabulary, tmp_path / name)
        _, log = process.communicate(timeout=300)
        assert process.returncode == 0, log.decode()
    killed, whole = contents(tmp_path / "killed"), contents(tmp_path / "whole")
    assert killed.keys() == whole.keys(), "and no temporary file is left"
    for name in whole:
        assert killed[name] == whole[name], name
    assert not [path for path in (tmp_path / "killed").iterdir() if path.is_dir()]

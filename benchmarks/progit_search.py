"""Pro Git's sections as a search: does a model find a section by its title?

    python -m benchmarks.progit_search --data DATA/en/progit --output-dir runs/progit

Writes `train.csv` (columns `text`, the title, and `text_pair`, the section) and a folder in BEIR's
layout whose corpus are all sections and whose queries are the held-out titles. Sections are split
by their file: of a held-out one none was trained on. Titles are lines of few words without a stop
between blank lines; `docs/results.md` has the commands that train and measure.
"""

import argparse
import csv
import json
import re
from pathlib import Path

HELD_OUT_EVERY = 3
MIN_SECTION_WORDS = 30
_TITLE = re.compile(r"[A-Z][^.:;!]{2,60}[^.:;,!]")


def main() -> None:
    """Write the pairs and the set."""
    arguments = _parse()
    folder: Path = arguments.output_dir
    (folder / "set" / "qrels").mkdir(parents=True, exist_ok=True)
    train: list[tuple[str, str]] = []
    corpus, queries, judgements = [], [], []
    for number, path in enumerate(sorted(arguments.data.glob("*.txt"))):
        for title, text in sections(path.read_text(encoding="utf-8")):
            document = str(len(corpus))
            corpus.append({"_id": document, "title": "", "text": text})
            if number % HELD_OUT_EVERY:
                train.append((title, text))
            else:
                judgements.append((f"q{len(queries)}", document, 1))
                queries.append({"_id": f"q{len(queries)}", "text": title})
    _write_table(folder / "train.csv", ["text", "text_pair"], train, delimiter=",")
    _write_table(
        folder / "eval.csv",
        ["text", "text_pair"],
        [
            (it["text"], corpus[int(judged[1])]["text"])
            for it, judged in zip(queries, judgements, strict=True)
        ],
        delimiter=",",
    )
    _write_table(
        folder / "set" / "qrels" / "test.tsv",
        ["query-id", "corpus-id", "score"],
        judgements,
        delimiter="\t",
    )
    for name, rows in (("corpus", corpus), ("queries", queries)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / "set" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(train)} pairs to train on, {len(queries)} queries, {len(corpus)} sections")


def sections(text: str) -> list[tuple[str, str]]:
    """Titles and what stands below them, up to the next."""
    found: list[tuple[str, list[str]]] = []
    for block in re.split(r"\n\s*\n", text):
        line = block.strip()
        if "\n" not in line and len(line.split()) <= 8 and _TITLE.fullmatch(line):
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    joined = [(title, " ".join(" ".join(blocks).split())) for title, blocks in found]
    return [(title, body) for title, body in joined if len(body.split()) >= MIN_SECTION_WORDS]


def _write_table(path: Path, names: list[str], rows: list[tuple], *, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows(rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of Pro Git's text")
    parser.add_argument("--output-dir", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()

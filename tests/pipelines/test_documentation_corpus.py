"""Prose and labels from a made-up pair of packages, and from a small real one."""

import hashlib
import json
from pathlib import Path

import pytest

from pipelines.demo import documentation_corpus
from pipelines.demo.documentation_corpus import (
    DocumentationCorpus,
    build_documents,
    clean_docstrings,
    dotted_path_pattern,
    name_pattern,
    split_by_module,
    split_examples,
    write_documentation_corpus,
)
from pipelines.demo.documentation_prose import clean_docstring, is_sentence, split_sentences
from pipelines.demo.documentation_sources import (
    DEFAULT_PACKAGES,
    STANDARD_LIBRARY,
    DocumentedPackage,
    find_folder,
    find_source_files,
    package_version,
    parse_docstrings,
)

ALPHA = DocumentedPackage("alpha", ("alphapack",), names=("alphapack", "ap"))
BETA = DocumentedPackage("beta", ("betapack",), names=("betapack",))
SUBJECTS = ("river", "window", "garden", "letter", "engine", "mirror", "ladder", "basket")


def write_module(path: Path, *, topic: str) -> None:
    """A module with a class of two methods; its sentences occur in no other module."""
    sentences = [
        f"The {subject} of the {topic} is kept in its own place until all of it is needed again "
        f"by the {topic}."
        for subject in SUBJECTS
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'"""{sentences[0]}\n\n{sentences[1]}\n"""\n'
        f'class Store:\n    """{sentences[2]}\n    {sentences[3]}"""\n'
        f'    def open(self):\n        """{sentences[4]}\n        {sentences[5]}"""\n'
        f'def close():\n    """{sentences[6]}\n    {sentences[7]}"""\n',
        encoding="utf-8",
    )


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[DocumentedPackage, ...]:
    """Two packages of 30 modules that raise if anybody imports them."""
    root = tmp_path / "site"
    for package in (ALPHA, BETA):
        for index in range(30):
            topic = package.label + "".join(chr(ord("a") + int(digit)) for digit in str(index))
            write_module(root / package.roots[0] / f"module_{index}.py", topic=topic)
        init = root / package.roots[0] / "__init__.py"
        init.write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(root))
    return ALPHA, BETA


def read_tsv(path: Path) -> list[tuple[str, str]]:
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    assert header == "text\tlabel"
    return [(text, label) for text, label in (line.split("\t") for line in lines)]


def read_bytes(corpus: DocumentationCorpus) -> list[bytes]:
    paths = (corpus.corpus_path, corpus.train_path, corpus.eval_path, corpus.summary_path)
    return [path.read_bytes() for path in paths]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        pytest.param(
            "Return the sum of it.\n\n>>> add(1, 2)\n3\n\nIt is the same for all types.",
            [["Return the sum of it."], ["It is the same for all types."]],
            id="doctest",
        ),
        pytest.param(
            "It is used as a function::\n\n    This is not the text.\n\nThe end of it is here.",
            [["The end of it is here."]],
            id="literal block",
        ),
        pytest.param(
            "This is what it does.\n\n```python\nThis is not the text of it.\n```\n",
            [["This is what it does."]],
            id="fence",
        ),
        pytest.param(
            "Parameters\n----------\naxis : int, optional\n    The axis of the sum. It may be\n"
            "    the last one.\nout : array\n    This is where the result is put.\n",
            [
                ["The axis of the sum.", "It may be the last one."],
                ["This is where the result is put."],
            ],
            id="numpydoc parameters",
        ),
        pytest.param(
            "Args:\n    axis: The axis of the sum.\n    rank (int): This is the rank\n"
            "        of the result.\n    name: This is the name of the result.\n",
            [
                ["The axis of the sum."],
                ["This is the rank of the result."],
                ["This is the name of the result."],
            ],
            id="Google parameters",
        ),
        pytest.param(
            ":param axis: The axis of the sum.\n:type axis: int\n:returns: The sum of all rows.",
            [["The axis of the sum."], ["The sum of all rows."]],
            id="Sphinx fields",
        ),
        pytest.param(
            "It has the following parts:\n\n- This is the first of\n  the parts.\n"
            "* This is the second one.\n",
            [["This is the first of the parts."], ["This is the second one."]],
            id="list",
        ),
        pytest.param(
            ".. versionadded:: 1.2\n   It was not there before.\n\n"
            ".. note:: This is to be kept.\n\n"
            "References\n----------\nThis is the book of it.\n\n"
            "Notes\n-----\nThis is a note of it.",
            [["This is to be kept."], ["This is a note of it."]],
            id="directives and references",
        ),
        pytest.param(
            "Use :func:`~a.b.mean` or the ``sum`` of **all** rows [1]_, as in "
            "`the guide <x.html>`_ or [the page](http://x.y/z) of it.",
            [["Use mean or the sum of all rows as in the guide or the page of it."]],
            id="markup",
        ),
        pytest.param(
            "The address is at https://a.b/c for all. It is said in [1]_. This is the rest of it.",
            [["This is the rest of it."]],
            id="sentences that fall with their reference",
        ),
    ],
)
def test_docstring_becomes_prose(docstring: str, expected: list[list[str]]) -> None:
    assert clean_docstring(docstring) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Too short it.",
        "This one has no end",
        "and this is the rest of one.",
        "The value x = y + 1 is what it is.",
        "dict_keys of_this that_one and __that__ of the_other.",
        "Shape batch height width channels float.",
        "This one (of the two has no end.",
        "It is to be found in doc/source/guide.rst of it.",
    ],
)
def test_what_is_not_a_sentence_is_refused(text: str) -> None:
    assert not is_sentence(text)


def test_abbreviations_do_not_end_a_sentence() -> None:
    text = 'Use a list, e.g. Lists of Fig. 2 by Smith et al. This is next. "So it is." Last one'
    assert split_sentences(text) == [
        "Use a list, e.g. Lists of Fig. 2 by Smith et al. This is next.",
        '"So it is."',
        "Last one",
    ]


def test_names_of_packages_are_found() -> None:
    pattern = name_pattern(["Keras", "tf"])
    assert all(map(pattern.search, ("a kerastensor", "tf_function", "tf2 is", "the tf.")))
    assert not any(map(pattern.search, ("softflow", "tfrecord", "attf")))
    dotted = dotted_path_pattern(["np", "numpy"])
    assert dotted.sub("", "An np.ma.MaskedArray or Numpy.ndarray of xnp.y.") == (
        "An MaskedArray or ndarray of xnp.y."
    )


def test_docstrings_of_definitions_and_added_ones_are_read() -> None:
    source = b'''"""Module."""
if True:
    def f():
        """Function."""
        def inner():
            """Inside."""
class C:
    """Class."""
    async def m(self):
        """Method."""
add_newdoc("lib", "thing", ("T", """Added."""))
'''
    found = [(d.definition, d.text) for d in parse_docstrings(source, module="m.py")]
    assert found == [
        ("", "Module."),
        ("f", "Function."),
        ("C", "Class."),
        ("C", "Method."),
        ("lib.thing.T", "Added."),
    ]
    assert list(parse_docstrings(b'"""Broken', module="m.py")) == []
    assert [d.text for d in parse_docstrings(b'"""A."""\nx = "\\d"\n', module="m.py")] == ["A."]


def test_tests_vendored_and_generated_files_are_passed_over(tmp_path: Path) -> None:
    for name in (
        "b.py",
        "a/c.py",
        "tests/t.py",
        "a/_vendor/v.py",
        "gen_ops.py",
        "x_pb2.py",
        "n/k.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_source_files(tmp_path, skipped_folders=("n",))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/c.py", "b.py"]


def test_sentences_with_names_and_repeated_ones_are_dropped(
    packages: tuple[DocumentedPackage, ...],
) -> None:
    folder = find_folder("betapack")
    (folder / "zz.py").write_text(
        '"""Betapack is the name of this one. The AlphaPack is another of them. '
        "Use the ap.core.Thing of it. The river of the alphaa is kept in its own place until all "
        'of it is needed again by the alphaa!"""\n',
        encoding="utf-8",
    )
    last = clean_docstrings(packages)[-1]
    assert (last.label, last.module) == ("beta", "betapack/zz.py")
    assert last.sentences == ("Use the Thing of it.",)


def test_corpus_and_labelled_texts_are_written(
    packages: tuple[DocumentedPackage, ...], tmp_path: Path
) -> None:
    corpus = write_documentation_corpus(
        tmp_path / "out",
        packages=packages,
        max_examples_per_label=20,
        max_eval_examples_per_label=5,
    )
    documents = corpus.corpus_path.read_text(encoding="utf-8").strip().split("\n\n")
    assert len(documents) == corpus.num_documents
    assert sum(len(document.split("\n")) for document in documents) == corpus.num_sentences
    assert corpus.labels == ("alpha", "beta")
    for path, count in ((corpus.train_path, 20), (corpus.eval_path, 5)):
        rows = read_tsv(path)
        assert [sum(row[1] == label for row in rows) for label in corpus.labels] == [count] * 2
        assert all(label in text for text, label in rows)  # the fixture's topics begin with it
        assert all(35 <= len(text.split()) <= 70 for text, _ in rows)
    summary = json.loads(corpus.summary_path.read_text(encoding="utf-8"))
    assert summary["num_train_examples"] == corpus.num_train_examples == 40
    assert summary["labels"]["alpha"]["eval.tsv"] == 5
    assert summary["sha256"]["corpus.txt"] == (
        hashlib.sha256(corpus.corpus_path.read_bytes()).hexdigest()
    )


def test_no_module_is_on_both_sides(
    packages: tuple[DocumentedPackage, ...], tmp_path: Path
) -> None:
    train, evaluation = split_by_module(clean_docstrings(packages), seed=0).values()
    assert {d.module for d in train} & {d.module for d in evaluation} == set()
    assert len({d.module for d in train + evaluation}) == 60
    corpus = write_documentation_corpus(tmp_path / "out", packages=packages)
    pretraining = set(corpus.corpus_path.read_text(encoding="utf-8").split("\n"))
    unseen = {sentence for docstring in evaluation for sentence in docstring.sentences}
    assert unseen
    assert not unseen & pretraining
    train_text = corpus.train_path.read_text(encoding="utf-8")
    assert not any(sentence in train_text for sentence in unseen)


def test_same_seed_gives_same_bytes_and_another_seed_another_split(
    packages: tuple[DocumentedPackage, ...], tmp_path: Path
) -> None:
    first = write_documentation_corpus(tmp_path / "a", packages=packages)
    second = write_documentation_corpus(tmp_path / "b", packages=packages, num_workers=2)
    other = write_documentation_corpus(tmp_path / "c", packages=packages, seed=1)
    assert read_bytes(first) == read_bytes(second)
    assert all(a != b for a, b in zip(read_bytes(first), read_bytes(other), strict=True))


def test_interrupted_rewrite_leaves_no_summary_and_no_half_file(
    packages: tuple[DocumentedPackage, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_documentation_corpus(tmp_path / "out", packages=packages)
    before = corpus.corpus_path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(documentation_corpus.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_documentation_corpus(tmp_path / "out", packages=packages, seed=1)
    assert corpus.corpus_path.read_bytes() == before
    assert not corpus.summary_path.exists()
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    write_documentation_corpus(tmp_path / "out", packages=packages)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["corpus.txt", "eval.tsv", "summary.json", "train.tsv"]


def test_documents_end_with_definitions_unless_they_grow_long() -> None:
    def docstring(definition: str, count: int) -> documentation_corpus.CleanDocstring:
        sentences = tuple(f"{definition}{index}" for index in range(count))
        return documentation_corpus.CleanDocstring("alpha", "m.py", definition, sentences)

    docstrings = [docstring("f", 2), docstring("g", 4), docstring("C", 7), docstring("C", 23)]
    docstrings += [docstring("C", 3), docstring("h", 1)]
    assert [len(document) for document in build_documents(docstrings)] == [6, 30, 4]
    assert list(build_documents(docstrings[-1:])) == []


def test_examples_are_one_to_three_sentences_of_35_to_70_words() -> None:
    def sentence(num_words: int) -> str:
        return " ".join(["word"] * num_words)

    lengths = [40, 20, 20, 5, 5, 5, 10, 69, 34, 1]
    texts = [len(t.split()) for t in split_examples([sentence(length) for length in lengths])]
    assert texts == [40, 40, 35]  # 5 + 5 + 5 is too short after three, 10 + 69 too long


def test_missing_package_and_single_label_are_refused(tmp_path: Path) -> None:
    absent = DocumentedPackage("absent", ("no_such_package_here",))
    with pytest.raises(FileNotFoundError, match=r"no_such_package_here: a documented package must"):
        write_documentation_corpus(tmp_path, packages=(absent, ALPHA))
    with pytest.raises(
        ValueError, match=r"two or more with different labels. Received: \['alpha'\]"
    ):
        write_documentation_corpus(tmp_path, packages=(ALPHA,))


def test_package_without_texts_on_a_side_is_refused(
    packages: tuple[DocumentedPackage, ...], tmp_path: Path
) -> None:
    for path in find_folder("betapack").glob("module_*.py"):
        path.unlink()
    with pytest.raises(ValueError, match=r"beta: a package needs texts on both sides"):
        write_documentation_corpus(tmp_path / "out", packages=packages)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_installed_packages_give_readable_texts(tmp_path: Path) -> None:
    real = [package for package in DEFAULT_PACKAGES if package.label in ("numpy", "matplotlib")]
    corpus = write_documentation_corpus(
        tmp_path, packages=real, max_examples_per_label=50, max_eval_examples_per_label=20
    )
    assert (corpus.num_train_examples, corpus.num_eval_examples) == (100, 40)
    assert corpus.num_documents > 500
    assert corpus.num_sentences > 5 * corpus.num_documents
    text = corpus.corpus_path.read_text(encoding="utf-8")
    assert not name_pattern(["numpy", "np", "matplotlib", "mpl"]).search(text.lower())
    assert all(is_sentence(line) for line in text.splitlines() if line)
    assert package_version(real[0]).startswith("numpy ")
    assert find_folder(STANDARD_LIBRARY).joinpath("argparse.py").is_file()

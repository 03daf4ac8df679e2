"""The documents name the files that there are: `docs/architecture.md` all of them."""

import ast
import configparser
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
]
PACKAGES = ("bert_tf", "pipelines", "serving")
FOLDERS = (*PACKAGES, "benchmarks", "docs", "tests")

CODE = re.compile(r"`([^`\n]+)`")
FOLDER = re.compile(rf"(?:{'|'.join(FOLDERS)})(?:/\w+)*/")
FILE = re.compile(r"[\w/.-]+\.(?:py|yaml|txt)")


def named_paths(text: str) -> list[str]:
    """Paths of backticked names; a file's is below the last folder named on its line.

    "| a metric | `bert_tf/metrics/`: `counts.py` |" -> bert_tf/metrics/, bert_tf/metrics/counts.py
    """
    paths = []
    for line in text.splitlines():
        folder = ""
        for name in CODE.findall(line):
            if FOLDER.fullmatch(name):
                folder = name
                paths.append(name)
            elif FILE.fullmatch(name):
                is_from_root = name.partition("/")[0] in FOLDERS
                paths.append(name if is_from_root else folder + name)
    return paths


def test_every_file_of_the_packages_is_named_on_the_page():
    there = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    missing = sorted(there - set(named_paths(PAGE.read_text())))
    assert not missing, f"docs/architecture.md must say what these are for: {missing}"


def test_every_folder_of_the_packages_is_named_on_the_page():
    there = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
    }
    missing = sorted(there - set(named_paths(PAGE.read_text())))
    assert not missing, f"docs/architecture.md must say what these are for: {missing}"


def test_every_path_on_the_page_exists_and_none_stands_there_twice():
    names = named_paths(PAGE.read_text())
    gone = sorted({name for name in names if not (ROOT / name).exists()})
    assert not gone, f"docs/architecture.md names what is not there: {gone}"
    files = [name for name in names if name.endswith(".py")]
    twice = sorted({name for name in files if files.count(name) > 1})
    assert not twice, f"docs/architecture.md names these in two places: {twice}"


def test_every_room_of_the_diagram_exists():
    diagram = PAGE.read_text().split("```")[1]
    rooms = re.findall(r"\b[a-z]+/[a-z_]+", diagram)
    assert len(rooms) > 10, "the diagram names no rooms"
    for room in rooms:
        places = (ROOT / room, ROOT / "bert_tf" / room, ROOT / "bert_tf" / f"{room}.py")
        assert any(place.exists() for place in places), f"{room} is on the diagram and not there"


def test_the_page_is_short_enough_to_be_read():
    num_lines = len(PAGE.read_text().splitlines())
    assert num_lines <= 200, f"docs/architecture.md must have at most 200 lines, has {num_lines}"


def test_import_direction_on_the_page_is_that_of_the_contracts():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / "setup.cfg")
    told = PAGE.read_text().split("## Import direction")[1].split("##")[0]
    num_layered = 0
    for section in contracts.sections():
        if not section.startswith("importlinter:contract:"):
            continue
        contract = contracts[section]
        if contract["type"] == "layers":
            num_layered += 1
            layers = contract["layers"].replace("bert_tf.", "").split("\n")
            chain = " → ".join(layer.strip() for layer in layers if layer.strip())
            place = contract.get("containers", "").strip().replace(".", "/")
            line = f"In `{place}/`: `{chain}`" if place else f"Packages: `{chain}`"
            assert line in told, f"docs/architecture.md must hold, as {section} does: {line}"
        else:
            for name in contract["forbidden_modules"].split():
                assert f"`{name}`" in told, f"docs/architecture.md must name {name}, see {section}"
    assert num_layered == told.count("- "), "docs/architecture.md holds more than setup.cfg"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_of_a_document_lead_somewhere(document):
    path = ROOT / document
    prose = re.sub(r"```.*?```|`[^`\n]+`", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        file_name, _, heading = target.partition("#")
        if "://" in target:
            continue
        linked = path.parent / file_name if file_name else path
        assert linked.exists(), f"{document}: the link {target} leads nowhere"
        if heading:
            assert heading in _headings(linked), f"{document}: {target} names no heading"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_repository_paths_in_a_document_exist(document):
    text = (ROOT / document).read_text()
    for name in re.findall(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w/.-]*[\w/]", text):
        assert (ROOT / name).exists(), f"{document}: {name} is not in the repository"
    for name in CODE.findall(text):
        if re.fullmatch(r"\w+(?:/\w+)+\.py", name):
            assert (ROOT / name).exists(), f"{document}: `{name}` must be a path from the root"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_examples_of_a_document_import_what_there_is(document):
    for example in re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL):
        for statement in ast.walk(ast.parse(example)):
            if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith(PACKAGES):
                module = importlib.import_module(str(statement.module))
                for name in (alias.name for alias in statement.names):
                    is_there = hasattr(module, name) or importlib.util.find_spec(
                        f"{module.__name__}.{name}"
                    )
                    assert is_there, f"{document}: {module.__name__} has no {name}"


def _headings(path: Path) -> set[str]:
    """Anchors of a document's headings, as they are made of their words."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

"""Installed packages in, docstrings out, found in source files and never by importing them.

The standard library, too, is read as files; only CPython's `pydoc_data.topics`, a table of
texts, is imported. Vendored copies, tests and generated wrappers are passed over.
"""

import ast
import importlib.metadata
import importlib.util
import platform
import pydoc_data.topics
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

STANDARD_LIBRARY = "<standard library>"
"""Stands for the standard library's folder in `DocumentedPackage.roots`."""

_TEST_FOLDERS = {"test", "tests", "testing", "_testing", "kernel_tests"}
_VENDORED_FOLDERS = {"vendor", "_vendor", "extern", "_external", "externals", "third_party"}
_VENDORED_FILES = {"array_api_compat", "array_api_extra"}
_UNDOCUMENTED_FOLDERS = {"site-packages", "lib-dynload", "idlelib", "lib2to3", "turtledemo"}
_REPEATING_FOLDERS = {"pydoc_data", "_api", "include", "__pycache__"}
SKIPPED_FOLDERS = frozenset(
    _TEST_FOLDERS | _VENDORED_FOLDERS | _VENDORED_FILES | _UNDOCUMENTED_FOLDERS | _REPEATING_FOLDERS
)
SKIPPED_FILES = ("gen_*.py", "*_pb2.py", "*_pb2_grpc.py", "test_*.py", "*_test.py", "conftest.py")


@dataclass(frozen=True)
class DocumentedPackage:
    """One label and where its text comes from."""

    label: str
    roots: tuple[str, ...]
    """Importable top-level names, each with an optional folder inside: `keras/src`."""
    distributions: tuple[str, ...] = ()
    """Whose versions the summary names. Without any: Python's."""
    names: tuple[str, ...] = ()
    """What the package is called, import aliases included: taken out of every text."""
    skipped_folders: tuple[str, ...] = ()
    """Left out in addition to `SKIPPED_FOLDERS`."""


@dataclass(frozen=True)
class Docstring:
    """A text with the source file and the top-level definition it belongs to."""

    module: str
    definition: str
    text: str


DEFAULT_PACKAGES = (
    DocumentedPackage("python", (STANDARD_LIBRARY,), names=("python", "cpython", "pydoc")),
    DocumentedPackage("numpy", ("numpy",), ("numpy",), ("numpy", "np", "numpydoc")),
    DocumentedPackage(
        "tensorflow",
        ("tensorflow",),
        ("tensorflow",),
        ("tensorflow", "tf"),
        skipped_folders=("keras",),
    ),
    DocumentedPackage(
        "keras",
        ("keras/src", "keras_hub/src"),
        ("keras", "keras-hub"),
        ("keras", "keras_hub", "keras-hub", "kerashub", "keras_nlp", "kerasnlp", "kerascv"),
    ),
    DocumentedPackage("pandas", ("pandas",), ("pandas",), ("pandas", "pd")),
    DocumentedPackage("scipy", ("scipy",), ("scipy",), ("scipy", "sp")),
    DocumentedPackage(
        "sklearn", ("sklearn",), ("scikit-learn",), ("sklearn", "scikit-learn", "scikit", "scikits")
    ),
    DocumentedPackage(
        "matplotlib",
        ("matplotlib", "mpl_toolkits"),
        ("matplotlib",),
        ("matplotlib", "mpl", "plt", "pyplot", "pylab", "mpl_toolkits", "mplot3d"),
    ),
)
"""Packages that this one requires itself, directly or through those it requires."""


def read_docstrings(package: DocumentedPackage) -> Iterator[Docstring]:
    """All docstrings of a package, sorted by file, in the order of the source.

    Raises:
        FileNotFoundError: the package is not installed as source files.
    """
    for root in package.roots:
        folder = find_folder(root)
        for path in find_source_files(folder, skipped_folders=package.skipped_folders):
            module = f"{root}/{path.relative_to(folder).as_posix()}"
            yield from parse_docstrings(path.read_bytes(), module=module)
        if root == STANDARD_LIBRARY:
            for topic in sorted(pydoc_data.topics.topics):
                yield Docstring(
                    f"pydoc_data/topics/{topic}", topic, pydoc_data.topics.topics[topic]
                )


def find_folder(root: str) -> Path:
    """The folder of a package: `keras/src` is the folder `src` of what `import keras` takes."""
    if root == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    name, _, inner = root.partition("/")
    spec = importlib.util.find_spec(name)
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (Path(location) / inner).is_dir():
            return Path(location) / inner
    raise FileNotFoundError(
        f"{root}: a documented package must be installed as a folder of source files. "
        "Received: no such folder. Install it or leave its label out of `packages`."
    )


def find_source_files(folder: Path, *, skipped_folders: Sequence[str] = ()) -> list[Path]:
    """`.py` files with docstrings worth reading, sorted by their path inside the folder."""
    skipped = SKIPPED_FOLDERS.union(skipped_folders)
    return sorted(
        (
            path
            for path in folder.rglob("*.py")
            if skipped.isdisjoint(path.relative_to(folder).parts[:-1])
            and not any(path.match(pattern) for pattern in SKIPPED_FILES)
        ),
        key=lambda path: path.relative_to(folder).parts,
    )


def parse_docstrings(source: bytes, *, module: str) -> Iterator[Docstring]:
    """Docstrings of the module, its classes and functions, and of NumPy's `add_newdoc` calls.

    A file without any, or one that this Python cannot parse, gives nothing.
    """
    if b'"""' not in source and b"'''" not in source:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escape sequences in others' sources
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return
    yield from _docstring_of(tree, module, "")
    for statement in tree.body:
        definition = getattr(statement, "name", "")
        yield from _walk(statement, module, definition)


def package_version(package: DocumentedPackage) -> str:
    """`keras 3.15.1, keras-hub 0.32.0`; Python's own version for the standard library."""
    return ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in package.distributions
    ) or (f"python {platform.python_version()}")


def _walk(node: ast.stmt, module: str, definition: str) -> Iterator[Docstring]:
    """Definitions inside classes and conditions, not those inside functions."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _docstring_of(node, module, definition)
    elif isinstance(node, ast.ClassDef):
        yield from _docstring_of(node, module, definition)
        for child in node.body:
            yield from _walk(child, module, definition)
    elif isinstance(node, ast.If | ast.Try):
        for child in node.body + node.orelse:
            yield from _walk(child, module, definition or getattr(child, "name", ""))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from _added_docstrings(node.value, module)


def _docstring_of(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    module: str,
    definition: str,
) -> Iterator[Docstring]:
    text = ast.get_docstring(node, clean=False)
    if text:
        yield Docstring(module, definition, text)


def _added_docstrings(call: ast.Call, module: str) -> Iterator[Docstring]:
    """`add_newdoc("numpy", "ndarray", ("T", "The transposed array."))` documents compiled code."""
    if not (isinstance(call.func, ast.Name) and call.func.id.startswith("add_newdoc")):
        return
    texts = [
        node.value
        for argument in call.args
        for node in ast.walk(argument)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    if texts:
        yield Docstring(module, ".".join(texts[:-1]), texts[-1])

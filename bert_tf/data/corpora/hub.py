"""A hub data set in, its rows out, streaming: `hub:NAME[@REVISION][:CONFIG[:SPLIT]]`.

The package `datasets` does the work, so NAME may be all that it loads: a name on the hub, or a
local folder. SPLIT is `train` by default; an empty CONFIG stands for the default one. What is told
apart are revisions and files, by `datasets`' own fingerprints: nothing is read for it.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bert_tf.data.corpora.lines import UTF8_ONLY, Line, decode
from bert_tf.data.corpora.rows import text_of

PREFIX = "hub:"


class HubName(NamedTuple):
    """What a corpus path names on the hub."""

    name: str
    revision: str | None
    config: str | None
    split: str

    @classmethod
    def parse(cls, path: str, *, key: str = "corpus.paths") -> "HubName":
        """`hub:user/set@v1::test` is the split `test` of the default configuration."""
        name, *rest = path.removeprefix(PREFIX).split(":")
        if not name or len(rest) > 2:
            raise ValueError(
                f"{path}: a hub data set must be {PREFIX}NAME[@REVISION][:CONFIG[:SPLIT]]. "
                f"Received: {path!r}. Write it so in {key}."
            )
        config, split = (*rest, "", "")[:2]
        revision = ""
        if not Path(name).exists():
            name, _, revision = name.partition("@")
        return cls(name, revision or None, config or None, split or "train")


def read_hub_rows(path: str, *, text_field: str, encoding_errors: str) -> Iterator[Line]:
    """The text of each row.

    Raises:
        ImportError: the extra `datasets` is not installed.
        FileNotFoundError, ValueError: there is no such data set, configuration or split, it cannot
            be reached, or a row has no text in `text_field`.
    """
    for number, record in enumerate(read_hub_records(path, field=text_field), start=1):
        text = text_of(record, text_field, name=path, number=number)
        raw = text.encode("utf-8", errors="surrogatepass")
        yield decode(raw, path, number=number, policy=UTF8_ONLY[encoding_errors])


def hub_fingerprint(path: str) -> str:
    """What tells the data of a hub name from another's, or from its own in another revision."""
    datasets = _import_datasets()
    source = HubName.parse(path)
    with _named_errors(path):
        builder = datasets.load_dataset_builder(
            source.name, source.config, revision=source.revision
        )
        files = dict(builder.config.data_files or {})
    content = [str(builder.hash) if not files else ""]
    for split, listed in sorted(files.items(), key=lambda item: str(item[0])):
        names = [Path(str(file)).name for file in listed]
        content.append(f"{split} {names} {listed.origin_metadata}")
    digest = hashlib.blake2b("\n".join(content).encode(), digest_size=16).hexdigest()
    return f"fingerprint {digest}"


def read_hub_records(
    path: str, *, field: str | None = None, key: str = "corpus.paths"
) -> Iterator[dict[str, Any]]:
    """The rows; of a `field` that they have, this alone. `key`: the setting that named `path`.

    Raises:
        ImportError, FileNotFoundError, ValueError: see `read_hub_rows`.
    """
    datasets = _import_datasets(key=key)
    source = HubName.parse(path, key=key)
    with _named_errors(path):
        rows = datasets.load_dataset(
            source.name,
            source.config,
            split=source.split,
            revision=source.revision,
            streaming=True,
        )
        if rows.features is not None and field in rows.features:
            rows = rows.select_columns([field])
        yield from rows


@contextlib.contextmanager
def _named_errors(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        raise kind(
            f"{path}: a hub data set must be there and readable. Received: "
            f"{type(error).__name__}: {error}. Check name, configuration and split "
            f"({PREFIX}NAME:CONFIG:SPLIT), and the way to the hub."
        ) from error


def _import_datasets(*, key: str = "corpus.paths") -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            f"A name `{PREFIX}…` needs the package datasets. Received: it is not installed. "
            f"Install bert_tf with the extra `datasets`, or set {key} to files."
        ) from error
    return datasets

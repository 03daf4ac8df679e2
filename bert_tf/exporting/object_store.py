"""Versions on an object store, `s3://…/NAME/VERSION`, in an order that is safe for TF Serving.

A store has no rename: a version appears file by file, and a server that looks meanwhile tries to
load what is there. So `saved_model.pb`, without which nothing loads, is written last, after all
else is there and of the right size; a server that came too early tries again a minute later. Where
labels decide (see `rollout`), a server does not even look before the version is complete.
"""

import logging
from pathlib import Path
from typing import Any

from bert_tf.exporting.version_folders import (
    HIGHEST_FILE,
    SAVED_MODEL_FILE,
    saved_model_file,
)

log = logging.getLogger(__name__)


def is_url(path: str | Path) -> bool:
    """Whether a path names something on a store, `PROTOCOL://…`."""
    return "://" in str(path)


def publish_to_store(saved_model_dir: str | Path, url: str) -> str:
    """Copy a SavedModel to `url` (BASE/NAME) as the next version; its address.

    One process may publish a model at a time: a store has nothing to exclude another by. What a
    killed copy left has no `saved_model.pb`; its number is not used again.

    Raises:
        ImportError: fsspec, or its part for the protocol, is not installed.
        OSError: the store does not answer, or what arrived is not what was sent.
    """
    source = Path(saved_model_dir)
    saved_model_file(source)
    store, root = _open(url)
    root = root.rstrip("/")
    version = _next_version(store, root)
    target = f"{root}/{version}"
    files = sorted(path for path in source.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.relative_to(source).as_posix() == SAVED_MODEL_FILE)
    for path in files:
        address = f"{target}/{path.relative_to(source).as_posix()}"
        if path.name == SAVED_MODEL_FILE:
            _check_sizes(store, source, target, [other for other in files if other != path])
        store.put_file(str(path), address)
    _check_sizes(store, source, target, files)
    store.pipe_file(f"{root}/{HIGHEST_FILE}", str(version).encode())
    log.info("%s/%d is there.", url.rstrip("/"), version)
    return f"{url.rstrip('/')}/{version}"


def versions_on_store(url: str) -> list[int]:
    """Numbers of the versions below `url`, whole or not, in rising order."""
    store, root = _open(url)
    return _numbers(store, root.rstrip("/"))


def _open(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(
            f"{url}: a store needs the package fsspec. Received: it is not installed. Install "
            "bert_tf with the extra `object-store`, and what your store needs (s3fs, gcsfs, adlfs)."
        ) from error
    store, root = fsspec.core.url_to_fs(url)
    store.invalidate_cache()
    return store, root


def _next_version(store: Any, root: str) -> int:
    recorded = 0
    if store.exists(f"{root}/{HIGHEST_FILE}"):
        recorded = int(store.cat_file(f"{root}/{HIGHEST_FILE}"))
    return max([recorded, *_numbers(store, root)]) + 1


def _numbers(store: Any, root: str) -> list[int]:
    if not store.exists(root):
        return []
    names = [path.rstrip("/").rpartition("/")[2] for path in store.ls(root, detail=False)]
    return sorted(int(name) for name in names if name.isdecimal())


def _check_sizes(store: Any, source: Path, target: str, files: list[Path]) -> None:
    for path in files:
        address = f"{target}/{path.relative_to(source).as_posix()}"
        size = store.info(address)["size"]
        if size != path.stat().st_size:
            raise OSError(
                f"{address}: what is stored must be what was sent. Received: {size:,} bytes of "
                f"{path.stat().st_size:,}. Publish again: the next number is free."
            )

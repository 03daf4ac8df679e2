"""Versions on a store without renames, here fsspec's in memory."""

import pytest

from bert_tf.exporting.object_store import publish_to_store, versions_on_store

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def url(request):
    address = f"memory://models/{request.node.name}"
    yield address
    store, root = fsspec.core.url_to_fs(address)
    if store.exists(root):
        store.rm(root, recursive=True)


@pytest.fixture
def saved_model(tmp_path):
    folder = tmp_path / "1"
    (folder / "variables").mkdir(parents=True)
    (folder / "assets.extra").mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    (folder / "assets.extra" / "model.json").write_bytes(b"{}")
    return folder


def test_the_file_that_makes_it_loadable_comes_last(saved_model, url, monkeypatch):
    store, root = fsspec.core.url_to_fs(url)
    written = []
    put = type(store).put_file

    def put_file(self, source, target, **options):
        written.append(target.rpartition("/1/")[2])
        return put(self, source, target, **options)

    monkeypatch.setattr(type(store), "put_file", put_file)
    assert publish_to_store(saved_model, url) == f"{url}/1"
    assert written[-1] == "saved_model.pb"
    assert sorted(written) == [
        "assets.extra/model.json",
        "saved_model.pb",
        "variables/variables.index",
    ]
    assert store.cat_file(f"{root}/1/saved_model.pb") == b"graph"


def test_numbers_grow_past_what_was_removed_or_left_half(saved_model, url):
    store, root = fsspec.core.url_to_fs(url)
    publish_to_store(saved_model, url)
    store.rm(f"{root}/1", recursive=True)
    assert publish_to_store(saved_model, url) == f"{url}/2"
    store.pipe_file(f"{root}/5/variables/variables.index", b"half")
    assert publish_to_store(saved_model, f"{url}/") == f"{url}/6"
    assert versions_on_store(url) == [2, 5, 6]


def test_a_copy_that_arrives_short_never_becomes_loadable(saved_model, url, monkeypatch):
    store, root = fsspec.core.url_to_fs(url)
    put = type(store).put_file

    def put_file(self, source, target, **options):
        put(self, source, target, **options)
        if target.endswith(".index"):
            self.pipe_file(target, b"wei")

    monkeypatch.setattr(type(store), "put_file", put_file)
    with pytest.raises(OSError, match="3 bytes of 7"):
        publish_to_store(saved_model, url)
    assert not store.exists(f"{root}/1/saved_model.pb")
    monkeypatch.undo()
    assert publish_to_store(saved_model, url) == f"{url}/2"


def test_no_saved_model_is_refused(tmp_path, url):
    with pytest.raises(FileNotFoundError, match=r"must hold saved_model\.pb"):
        publish_to_store(tmp_path, url)

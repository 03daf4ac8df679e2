"""What several files of tests of training share."""

from pathlib import Path

import pytest

from tests.training.cluster_runs import write_data


@pytest.fixture(scope="module")
def cluster_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, and labelled texts of two classes, for `cluster_runs.make_tree`."""
    folder = tmp_path_factory.mktemp("workers")
    write_data(folder)
    return folder

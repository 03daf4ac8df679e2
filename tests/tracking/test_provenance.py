"""Where a model comes from, over any number of generations."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from bert_tf.models.description import WEIGHTS_FILE
from bert_tf.tracking import provenance as provenance_module
from bert_tf.tracking.provenance import write_provenance


def test_a_model_that_is_trained_on_again_and_again_has_its_nearest_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance_module, "MAX_PARENTS", 5)
    parent = None
    for number in range(9):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file({"x": np.zeros(1, np.float32)}, folder / WEIGHTS_FILE)
        provenance = write_provenance(
            folder, stage=f"run {number}", inputs=[], vocabulary_sha256="", parent=parent
        )
        parent = folder
    stages: list[Any] = []
    own: dict[str, Any] | None = provenance
    while own is not None:
        stages.append(own["stage"])
        farthest, own = own, own.get("parent")
    assert stages == [*("run 8", "run 7", "run 6", "run 5", "run 4"), None]
    assert farthest["folder"] == str(tmp_path / "3")

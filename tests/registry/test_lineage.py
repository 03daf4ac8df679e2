"""What has changed since a model was made, of the data that its provenance names."""

from dataclasses import asdict
from pathlib import Path

from bert_tf.registry.lineage import changed_inputs
from bert_tf.tracking.provenance import records_input


def test_static_records_named_by_a_pattern_are_compared(tmp_path: Path) -> None:
    for part in range(2):
        (tmp_path / f"heldout-{part}").write_bytes(b"records")
    pattern = str(tmp_path / "heldout-*")
    provenance = {"stage": "pretrain", "inputs": [asdict(records_input("eval", pattern))]}
    assert changed_inputs(provenance) == []
    (tmp_path / "heldout-1").write_bytes(b"other records")
    assert changed_inputs(provenance) == [f"eval: {pattern} has other content"]
    for path in tmp_path.iterdir():
        path.unlink()
    assert changed_inputs(provenance) == [f"eval: {pattern} is gone"]

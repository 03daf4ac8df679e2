"""What the metrics need."""

import subprocess
import sys

MODULES = (
    "classification",
    "multi_label",
    "regression",
    "entities",
    "answers",
    "answer_thresholds",
    "answer_slices",
    "resampling",
    "pictures",
    "tables",
)


def test_metrics_are_computed_without_tensorflow():
    imports = "; ".join(f"import bert_tf.metrics.{module}" for module in MODULES)
    heavy = "{'tensorflow', 'keras', 'sklearn', 'matplotlib', 'seqeval'}"
    script = f"import sys; {imports}; print(sorted({heavy} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert ended.stdout.strip() == "[]"

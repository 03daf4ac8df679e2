"""Imports what worker processes need; only the server that they are forked from imports this.

Importing is most of what a second worker costs, and half of it is for nothing: the collector
walks ever more live objects, and TensorFlow and Keras look for packages that no shard needs. So
this module does at import what no other does, and the order of its lines matters.
"""

import gc
import sys

NOT_NEEDED = ("cv2", "googleapiclient", "jax", "matplotlib", "pandas", "sklearn")
"""Which TensorFlow and Keras do without if they are not installed."""

gc.disable()
_hidden = [name for name in NOT_NEEDED if name not in sys.modules]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]  # None: not to be found

import bert_tf.data.preparation.shards  # noqa: E402, F401

# A worker may yet want them: it imports the script that it was started by.
for _name in _hidden:
    del sys.modules[_name]
gc.freeze()
gc.enable()

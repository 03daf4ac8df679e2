"""The model registry: exported SavedModels as versions of named MLflow models.

    register   a SavedModel becomes a version: pyfunc, signature, metrics, files
    promote    an alias moves to a version; `champion` leaves `previous` behind
    roll_back  `previous` and `champion` change places
    fetch      a version's SavedModel comes back into a folder
    publish    a version's SavedModel becomes BASE/NAME/N, where TF Serving finds it

Every SavedModel that leaves the registry says where it came from in `assets.extra/registry.json`.
All functions take `tracking_uri` and use no MLflow state of the process.

Errors: ValueError for what the registry does not have or does not take, ConnectionError when it
does not answer.
"""

from bert_tf.registry.delivery import (
    ORIGIN_FILE,
    fetch,
    publish,
    publish_to_store,
    read_origin,
)
from bert_tf.registry.versions import (
    CHAMPION,
    FILES_FOLDER,
    PREVIOUS,
    RegisteredVersion,
    list_versions,
    promote,
    register,
    roll_back,
)

__all__ = [
    "CHAMPION",
    "FILES_FOLDER",
    "ORIGIN_FILE",
    "PREVIOUS",
    "RegisteredVersion",
    "fetch",
    "list_versions",
    "promote",
    "publish",
    "publish_to_store",
    "read_origin",
    "register",
    "roll_back",
]

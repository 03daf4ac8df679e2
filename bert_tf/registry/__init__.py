"""The model registry: exported SavedModels as versions of named MLflow models.

    register   a SavedModel becomes a version: pyfunc, signature, metrics, files
    promote    an alias moves to a version; `champion` leaves `previous` behind
    roll_back  `previous` and `champion` change places
    fetch      a version's SavedModel (or its model folder) comes back into a folder
    publish    a version's SavedModel becomes BASE/NAME/N, where TF Serving finds it

Every SavedModel that leaves the registry says where it came from in `assets.extra/registry.json`.
All functions take `tracking_uri` and use no MLflow state of the process.

Errors: ValueError for what the registry does not have or does not take, ConnectionError when it
does not answer.
"""

from bert_tf.registry.delivery import (
    fetch,
    fetch_model,
    publish,
    publish_to_store,
    read_files,
    read_origin,
)
from bert_tf.registry.training_run import read_training
from bert_tf.registry.versions import (
    CHALLENGER,
    CHAMPION,
    FILES_FOLDER,
    PREVIOUS,
    RegisteredVersion,
    get_version,
    list_versions,
    promote,
    read_aliases,
    register,
    remove_alias,
    roll_back,
    set_tags,
)
from bert_tf.tracking.provenance import ORIGIN_FILE

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "FILES_FOLDER",
    "ORIGIN_FILE",
    "PREVIOUS",
    "RegisteredVersion",
    "fetch",
    "fetch_model",
    "get_version",
    "list_versions",
    "promote",
    "publish",
    "publish_to_store",
    "read_aliases",
    "read_files",
    "read_origin",
    "read_training",
    "register",
    "remove_alias",
    "roll_back",
    "set_tags",
]

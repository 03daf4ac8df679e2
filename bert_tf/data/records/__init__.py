"""Prepared records: their schema, shards and manifest."""

from bert_tf.data.records.example import (
    NO_LABEL,
    SCHEMA_VERSION,
    Examples,
    parse,
    serialize,
)
from bert_tf.data.records.manifest import (
    MANIFEST_FILE,
    Manifest,
    Shard,
    Split,
    manifest_path,
    read_manifest,
    write_manifest,
)
from bert_tf.data.records.shard_files import (
    check_shard,
    damage_named,
    shard_name,
    shard_paths,
    tf_compression,
    write_shard,
)

__all__ = [
    "MANIFEST_FILE",
    "NO_LABEL",
    "SCHEMA_VERSION",
    "Examples",
    "Manifest",
    "Shard",
    "Split",
    "check_shard",
    "damage_named",
    "manifest_path",
    "parse",
    "read_manifest",
    "serialize",
    "shard_name",
    "shard_paths",
    "tf_compression",
    "write_manifest",
    "write_shard",
]

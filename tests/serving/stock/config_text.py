"""Configurations: what `HandleReloadConfigRequest` takes, and what is served afterwards.

In the texts `{published}`, `{float}` and the like stand for the base path of that model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

CORE = "model_servers/server_core.cc"
TEST = "model_servers/server_core_test.cc ServerCoreTest"
PATHS = "model_servers/server_core_test.cc RelativePathsServerCoreTest"
SERVICE = "model_servers/model_service_impl.cc HandleReloadConfigRequest"
SOURCE = (
    "sources/storage_path/file_system_storage_path_source_test.cc FileSystemStoragePathSourceTest"
)


@dataclasses.dataclass(frozen=True)
class ConfigCase:
    """Reload requests in turn; what the last of them answers, and what is served then."""

    id: str
    configs: tuple[str, ...]
    """`ReloadConfigRequest`s in text form. All but the last must be taken."""
    source: str
    code: str = "OK"
    error: str = ""
    serves: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    """Available versions by model, afterwards; none for a model that is not served."""
    labels: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    """What labels of the model `m` stand for; None for one that is unknown."""
    allows_unavailable_labels: bool = False


def config(*models: str) -> str:
    """A request with a list of these models."""
    listed = " ".join(f"config {{ {model} }}" for model in models)
    return f"config {{ model_config_list {{ {listed} }} }}"


def model(base: str, name: str = "m", more: str = "", platform: str = "tensorflow") -> str:
    kind = f'model_platform: "{platform}"' if platform else ""
    return f'name: "{name}" base_path: "{base}" {kind} {more}'


def policy(text: str) -> str:
    return f"model_version_policy {{ {text} }}"


# What is served before each case, so that none sees what another left.
RESET = config(model("{double}", "reset"))
ALL = policy("all { }")
M = model("{published}")
BOTH = model("{published}", more=ALL)
ONE = config(M)

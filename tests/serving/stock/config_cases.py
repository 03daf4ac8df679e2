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
    ours: str = ""
    """Not empty: why the local server answers `our_code` and `our_error`."""
    our_code: str = ""
    our_error: str = ""


def config(*models: str) -> str:
    """A request with a list of these models."""
    listed = " ".join(f"config {{ {model} }}" for model in models)
    return f"config {{ model_config_list {{ {listed} }} }}"


def model(base: str, name: str = "m", more: str = "", platform: str = "tensorflow") -> str:
    kind = f'model_platform: "{platform}"' if platform else ""
    return f'name: "{name}" base_path: "{base}" {kind} {more}'


def policy(text: str) -> str:
    return f"model_version_policy {{ {text} }}"


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


# What is served before each case, so that none sees what another left.
RESET = config(model("{double}", "reset"))
ALL = policy("all { }")
M = model("{published}")
BOTH = model("{published}", more=ALL)
LABELLED = f"{ALL} {label('A', 1)} {label('B', 2)}"
UNAVAILABLE = "which is not currently available for inference"
ONE = config(M)


def refuses(id: str, sent: str, error: str, source: str, code: str = "INVALID_ARGUMENT", **more):
    """Refused, and what was served before stays."""
    kept = {"m": (2,)} if not more.get("before") else more.pop("kept")
    before = more.pop("before", ONE)
    return ConfigCase(id, (before, sent), source, code, error, serves=kept, **more)


CASES = [
    ConfigCase(
        "a model", (ONE,), f"{TEST}.ReloadConfigWaitsTillModelsAvailable", serves={"m": (2,)}
    ),
    ConfigCase(
        "two models",
        (config(M, model("{float}", "n")),),
        f"{TEST}.MultiplePlatforms",
        serves={"m": (2,), "n": (1,)},
    ),
    ConfigCase("no models", (ONE, config()), f"{TEST}.ReloadConfigUnloadsModels", serves={"m": ()}),
    ConfigCase(
        "a model once more",
        (ONE, config(), ONE),
        f"{TEST}.ReloadConfigHandlesLoadingAPreviouslyUnloadedModel",
        serves={"m": (2,)},
    ),
    ConfigCase("the same again", (ONE, ONE), f"{CORE} ReloadConfig", serves={"m": (2,)}),
    ConfigCase(
        "another base path",
        (config(model("{float}")), ONE),
        f"{TEST}.ReloadConfigChangeModelBasePath",
        serves={"m": (2,)},
    ),
    ConfigCase(
        "another base path, and back",
        (config(model("{float}")), ONE, config(model("{float}"))),
        f"{TEST}.ReloadConfigChangeModelBasePath",
        serves={"m": (1,)},
    ),
    ConfigCase(
        "one model for another",
        (config(M, model("{float}", "n")), config(model("{float}", "n"), model("{bool}", "o"))),
        f"{TEST}.MultiplePlatformsWithConfigChange",
        serves={"m": (), "n": (1,), "o": (1,)},
    ),
    ConfigCase("all versions", (config(BOTH),), f"{SOURCE}.MultipleVersions", serves={"m": (2, 1)}),
    ConfigCase(
        "the two latest",
        (config(model("{published}", more=policy("latest { num_versions: 2 }"))),),
        f"{SOURCE}.NLatestVersions",
        serves={"m": (2, 1)},
    ),
    ConfigCase(
        "more than there are",
        (config(model("{published}", more=policy("latest { num_versions: 9 }"))),),
        f"{SOURCE}.NLatestVersions",
        serves={"m": (2, 1)},
    ),
    ConfigCase(
        "latest without a number",
        (config(model("{published}", more=policy("latest { }"))),),
        f"{SOURCE}.DefaultNumLatestVersions",
        serves={"m": (2,)},
    ),
    ConfigCase(
        "latest 0",
        (config(model("{published}", more=policy("latest { num_versions: 0 }"))),),
        "sources/storage_path/file_system_storage_path_source.cc AspireLatestVersions",
        serves={"m": (2,)},
    ),
    ConfigCase(
        "an empty policy",
        (config(model("{published}", more=policy(""))),),
        f"{SOURCE}.DefaultVersionPolicy",
        serves={"m": (2,)},
    ),
    ConfigCase(
        "specific",
        (config(model("{published}", more=policy("specific { versions: 1 }"))),),
        f"{SOURCE}.SpecificVersions",
        serves={"m": (1,)},
    ),
    ConfigCase(
        "specific, one of which is not there",
        (config(model("{published}", more=policy("specific { versions: 1 versions: 7 }"))),),
        f"{SOURCE}.SpecificVersions",
        serves={"m": (1,)},
    ),
    ConfigCase(
        "specific, twice the same",
        (config(model("{published}", more=policy("specific { versions: 1 versions: 1 }"))),),
        "sources/storage_path/file_system_storage_path_source.cc AspireSpecificVersions",
        serves={"m": (1,)},
    ),
    ConfigCase(
        "specific without versions",
        (ONE, config(model("{published}", more=policy("specific { }")))),
        f"{SOURCE}.SpecificVersionsEmpty",
        serves={"m": ()},
    ),
    ConfigCase(
        "another policy",
        (config(BOTH), config(model("{published}", more=policy("specific { versions: 1 }")))),
        f"{SOURCE}.ChangeVersionPolicy",
        serves={"m": (1,)},
    ),
    ConfigCase(
        "back to the latest",
        (config(model("{published}", more=policy("specific { versions: 1 }"))), ONE),
        f"{SOURCE}.ChangeVersionPolicy",
        serves={"m": (2,)},
    ),
    ConfigCase(
        "labels",
        (config(BOTH), config(model("{published}", more=LABELLED))),
        f"{TEST}.ModelSpecMultipleVersionsAvailable",
        serves={"m": (2, 1)},
        labels={"A": 1, "B": 2, "nonexistent label": None},
    ),
    ConfigCase(
        "labels change places",
        (
            config(BOTH),
            config(model("{published}", more=LABELLED)),
            config(model("{published}", more=f"{ALL} {label('A', 2)} {label('B', 1)}")),
        ),
        f"{TEST}.ModelSpecMultipleVersionsAvailable",
        labels={"A": 2, "B": 1},
    ),
    ConfigCase(
        "labels are taken away",
        (config(BOTH), config(model("{published}", more=LABELLED)), config(BOTH)),
        f"{CORE} UpdateModelVersionLabelMap",
        labels={"A": None, "B": None},
    ),
    ConfigCase(
        "two labels of one version",
        (config(BOTH), config(model("{published}", more=f"{ALL} {label('A', 1)} {label('B', 1)}"))),
        f"{CORE} UpdateModelVersionLabelMap",
        labels={"A": 1, "B": 1},
    ),
    ConfigCase(
        "an empty label's name",
        (config(BOTH), config(model("{published}", more=f"{ALL} {label('', 1)}"))),
        f"{CORE} UpdateModelVersionLabelMap",
        labels={"": 1},
    ),
    refuses(
        "a label of a version that is not there",
        config(model("{published}", more=f"{ALL} {label('nice try', 777)}")),
        f"Request to assign label to version 777 of model m, {UNAVAILABLE}",
        f"{TEST}.AssignLabelToUnavailableVersion",
        "FAILED_PRECONDITION",
        before=config(BOTH),
        kept={"m": (2, 1)},
        labels={"nice try": None},
    ),
    refuses(
        "a label moved to a version that is not there",
        config(model("{published}", more=f"{ALL} {label('A', 777)}")),
        f"Request to assign label to version 777 of model m, {UNAVAILABLE}",
        f"{TEST}.AssignExistingLabelToUnavailableVersionDisallowed",
        "FAILED_PRECONDITION",
        before=config(BOTH),
        kept={"m": (2, 1)},
    ),
    refuses(
        "a label on disk, but not loaded",
        config(model("{published}", more=label("A", 1))),
        f"Request to assign label to version 1 of model m, {UNAVAILABLE}",
        f"{CORE} UpdateModelVersionLabelMap",
        "FAILED_PRECONDITION",
        labels={"A": None},
    ),
    ConfigCase(
        "a label together with its model",
        (config(), config(model("{published}", more=f"{ALL} {label('A', 1)}"))),
        f"{CORE} UpdateModelVersionLabelMap, which looks before anything loads",
        "FAILED_PRECONDITION",
        f"Request to assign label to version 1 of model m, {UNAVAILABLE}",
    ),
    ConfigCase(
        "a label of a version that is not there, allowed",
        (config(BOTH), config(model("{published}", more=f"{ALL} {label('nice try', 777)}"))),
        f"{TEST}.AssignLabelToUnavailableVersionAllowed",
        serves={"m": (2, 1)},
        allows_unavailable_labels=True,
    ),
    ConfigCase(
        "a label together with its model, allowed",
        (config(), config(model("{published}", more=f"{ALL} {label('A', 1)}"))),
        f"{CORE} UpdateModelVersionLabelMap",
        serves={"m": (2, 1)},
        labels={"A": 1},
        allows_unavailable_labels=True,
    ),
    ConfigCase(
        "an existing label to a version that is not there, though new ones may",
        (
            config(BOTH),
            config(model("{published}", more=LABELLED)),
            config(model("{published}", more=f"{ALL} {label('A', 777)}")),
        ),
        f"{TEST}.AssignExistingLabelToUnavailableVersionDisallowed",
        "FAILED_PRECONDITION",
        f"Request to assign label to version 777 of model m, {UNAVAILABLE}",
        allows_unavailable_labels=True,
        labels={"A": 1},
    ),
    refuses(
        "no config",
        "",
        "ServerModelConfig type not supported by HandleReloadConfigRequest.",
        SERVICE,
    ),
    refuses(
        "an empty config",
        "config { }",
        "ServerModelConfig type not supported by HandleReloadConfigRequest.",
        SERVICE,
    ),
    refuses(
        "a custom config",
        "config { custom_model_config { } }",
        "ServerModelConfig type not supported by HandleReloadConfigRequest.",
        f"{TEST}.IllegalReconfigurationToCustomConfig and {SERVICE}",
    ),
    refuses(
        "a model twice",
        config(M, M),
        "Illegal to list model m multiple times in config list",
        f"{TEST}.DuplicateModelNameConfig and {CORE} ValidateModelConfigList",
    ),
    refuses(
        "a name twice, two paths",
        config(M, model("{float}")),
        "Illegal to list model m multiple times in config list",
        f"{CORE} ValidateModelConfigList",
    ),
    refuses(
        "a relative path",
        config(M, model("models/x", "n")),
        "Expected model n to have an absolute path or URI; got base_path()=models/x",
        f"{PATHS}.MixedAbsoluteRelativeFails",
    ),
    refuses(
        "a relative path alone",
        config(model("./x")),
        "Expected model m to have an absolute path or URI; got base_path()=./x",
        f"{PATHS}.RelativePathFails",
    ),
    refuses(
        "an empty path",
        config(model("")),
        "Expected model m to have an absolute path or URI; got base_path()=",
        f"{CORE} ValidateModelConfigList",
    ),
    refuses(
        "no path",
        config('name: "m" model_platform: "tensorflow"'),
        "Expected model m to have an absolute path or URI; got base_path()=",
        f"{CORE} ValidateModelConfigList",
    ),
    refuses(
        "type and platform",
        config(model("{published}", more="model_type: TENSORFLOW")),
        "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, model name is m",
        f"{TEST}.IllegalConfigModelTypeAndPlatformSet",
    ),
    ConfigCase(
        "the type alone",
        (config(model("{published}", more="model_type: TENSORFLOW", platform="")),),
        f"{TEST}.DeprecatedModelTypeConfig",
        serves={"m": (2,)},
    ),
    refuses(
        "another type",
        config(model("{float}", "n", more="model_type: OTHER", platform="")),
        "ModelServerConfig::model_type choice 2 not supported.",
        f"{CORE} GetPlatform",
    ),
    refuses(
        "no platform",
        config(model("{float}", "n", platform="")),
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, model name is n",
        f"{CORE} GetPlatform",
    ),
    refuses(
        "an unknown platform",
        config(model("{float}", "n", platform="not_a_known_platform")),
        "Model n requests unsupported platform not_a_known_platform",
        f"{TEST}.UnknownModelPlatform",
    ),
    refuses(
        "another platform of a served model",
        config(model("{published}", platform="pytorch")),
        "Illegal to change a model's platform. For model m platform was tensorflow and new platform requested is pytorch",
        f"{TEST}.IllegalToChangeModelPlatform",
    ),
    refuses(
        "a model twice before a relative path",
        config(M, M, model("x", "n")),
        "Illegal to list model m multiple times",
        f"{CORE} ValidateModelConfigList",
    ),
    refuses(
        "a relative path before a missing platform",
        config(model("x", "n", platform="")),
        "to have an absolute path or URI",
        f"{CORE} ReloadConfig",
    ),
    ConfigCase(
        "a model that does not load",
        (config(), config(model("{broken}", "n"))),
        f"{TEST}.ErroringModel and {CORE} WaitUntilModelsAvailable",
        "UNKNOWN",
        "1 model(s) did not become available: {",
        serves={"n": ()},
    ),
]

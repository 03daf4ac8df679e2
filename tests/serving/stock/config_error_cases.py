"""Reloads that are refused, and what they are told."""

from tests.serving.stock.config_text import (
    CORE,
    ONE,
    PATHS,
    SERVICE,
    TEST,
    ConfigCase,
    M,
    config,
    model,
)


def refuses(id: str, sent: str, error: str, source: str, code: str = "INVALID_ARGUMENT", **more):
    """Refused, and what was served before stays."""
    kept = {"m": (2,)} if not more.get("before") else more.pop("kept")
    before = more.pop("before", ONE)
    return ConfigCase(id, (before, sent), source, code, error, serves=kept, **more)


CASES = [
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
        "Illegal setting both ModelServerConfig::model_type (deprecated) and"
        " ModelServerConfig::model_platform, model name is m",
        f"{TEST}.IllegalConfigModelTypeAndPlatformSet",
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
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor"
        " ModelServerConfig::model_platform, model name is n",
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
        "Illegal to change a model's platform. For model m platform was tensorflow and"
        " new platform requested is pytorch",
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

"""Reloads that are taken: models, base paths and version policies."""

from tests.serving.stock.config_text import (
    BOTH,
    CORE,
    ONE,
    SOURCE,
    TEST,
    ConfigCase,
    M,
    config,
    model,
    policy,
)

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
        "the type alone",
        (config(model("{published}", more="model_type: TENSORFLOW", platform="")),),
        f"{TEST}.DeprecatedModelTypeConfig",
        serves={"m": (2,)},
    ),
]

"""Reloads with labels of versions."""

from tests.serving.stock.config_text import ALL, BOTH, CORE, ONE, TEST, ConfigCase, config, model


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


UNAVAILABLE = "which is not currently available for inference"


LABELLED = f"{ALL} {label('A', 1)} {label('B', 2)}"


def refuses(id: str, sent: str, error: str, source: str, code: str = "INVALID_ARGUMENT", **more):
    """Refused, and what was served before stays."""
    kept = {"m": (2,)} if not more.get("before") else more.pop("kept")
    before = more.pop("before", ONE)
    return ConfigCase(id, (before, sent), source, code, error, serves=kept, **more)


CASES = [
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
]

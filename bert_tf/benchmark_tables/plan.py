"""Sets, settings and seeds in, the runs of a benchmark out: each a configuration with a name."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_tf.benchmark_tables.finding import HELD_OUT, TRAIN, FoundSet
from bert_tf.benchmark_tables.sets import Benchmark
from bert_tf.config import Config, merged, validate_config
from bert_tf.system.listing import listed

RUNS_FOLDER = "runs"
OWN = (
    *("task", "pretrained", "train_path", "eval_path", "table"),
    *("text_field", "text_pair_field", "label_field"),
)
"""Settings of `finetuning` that each set has for itself."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user asks of a benchmark."""

    model: str
    seeds: Sequence[int] = (42,)
    learning_rates: Sequence[float] = ()
    batch_sizes: Sequence[int] = ()
    epochs: Sequence[float] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of a set, settings of `finetuning` that differ from its recipe's."""

    def points(self) -> Iterator[dict[str, Any]]:
        """Settings to try, by the names that runs have them under; one empty one without any."""
        grid = {"lr": self.learning_rates, "batch": self.batch_sizes, "epochs": self.epochs}
        given = {name: values for name, values in grid.items() if values}
        for values in itertools.product(*given.values()):
            yield dict(zip(given, values, strict=True))


@dataclass(frozen=True)
class Run:
    """One fine-tuning."""

    name: str
    set_name: str
    seed: int
    point: Mapping[str, Any]
    config: Config
    beside: Mapping[str, str]
    """Further held-out files, by part."""
    num_examples: float
    """That it trains on, each as often as there are epochs."""

    @property
    def parts(self) -> dict[str, str]:
        """Folder by part: that of the run has the set's own held-out part."""
        return {"": self.name} | {part: f"{self.name}-{part}" for part in self.beside}


def check_options(options: Options, benchmark: Benchmark) -> None:
    """Raise ValueError of what no run could be made of."""
    grid = {"--learning-rates": options.learning_rates, "--batch-sizes": options.batch_sizes}
    grid |= {"--epochs": options.epochs, "--seeds": options.seeds}
    for name, values in grid.items():
        if len(set(values)) != len(values):
            raise ValueError(
                f"{name} must name each value once. Received: {listed(values)}. Leave out those "
                "that are there twice."
            )
    if not options.seeds or not all(0 <= seed < 2**31 for seed in options.seeds):
        raise ValueError(
            "--seeds must be whole numbers from 0 to 2147483647, at least one. Received: "
            f"{listed(options.seeds) or 'none'}. Give some, such as 1,2,3."
        )
    known = [spec.name for spec in (*benchmark.sets, *benchmark.further_sets)]
    for name, settings in options.overrides.items():
        if name not in known:
            raise ValueError(
                f"Settings of a set must be of one of {listed(known, max_items=20)}. Received: "
                f"{name!r}. Name one of these."
            )
        _refuse_own({key for key in settings if key != "task"}, prefix=f"{name}.")


def set_config(found: FoundSet, config: Config, options: Options) -> Config:
    """The configuration of a set's runs, but for its files, its seed and what a grid tries.

    The recipe, then `config`, then the set's overrides.

    Raises:
        ValueError: a setting is unknown, wrong, or one that the set has for itself.
    """
    tree = config.model_dump(mode="json", exclude_unset=True)
    given = tree.get("finetuning", {})
    _refuse_own(given, prefix="finetuning.")
    section: dict[str, Any] = {}
    for settings in (
        found.spec.recipe,
        {"task": found.spec.task},
        found.layout.finetuning,
        given,
        options.overrides.get(found.spec.name, {}),
        {"pretrained": options.model},
    ):
        section = merged(section, settings)
    return validate_config({**tree, "finetuning": section}, origin=found.spec.name)


def plan_runs(
    found: FoundSet,
    config: Config,
    options: Options,
    *,
    paths: Mapping[str, Path],
    num_train: int,
) -> list[Run]:
    """The runs of a set: all seeds of the first settings, then of the next."""
    runs = []
    for point, seed in itertools.product(options.points(), options.seeds):
        changed = _with_point(config, point, seed=seed, paths=paths)
        label = "".join(f"-{name}{value:g}" for name, value in point.items())
        runs.append(
            Run(
                name=f"{found.spec.name}{label}-seed-{seed}",
                set_name=found.spec.name,
                seed=seed,
                point=point,
                config=changed,
                beside={
                    part: str(path.absolute())
                    for part, path in paths.items()
                    if part not in (TRAIN, HELD_OUT)
                },
                num_examples=changed.finetuning.num_epochs * num_train,
            )
        )
    return runs


def _with_point(
    config: Config, point: Mapping[str, Any], *, seed: int, paths: Mapping[str, Path]
) -> Config:
    changes: dict[str, Any] = {
        "train_path": str(paths[TRAIN].absolute()),
        "eval_path": str(paths[HELD_OUT].absolute()),
    }
    if "epochs" in point:
        changes["num_epochs"] = point["epochs"]
    training: dict[str, Any] = {"batch_size": point["batch"]} if "batch" in point else {}
    if "lr" in point:
        training["optimizer"] = {"learning_rate": point["lr"]}
    tree = config.model_dump(mode="json", exclude_unset=True)
    section = merged(tree["finetuning"], changes | ({"training": training} if training else {}))
    return validate_config({**tree, "seed": seed, "finetuning": section}, origin="the grid")


def _refuse_own(keys: Any, *, prefix: str) -> None:
    if own := sorted(set(keys) & set(OWN)):
        raise ValueError(
            f"{prefix}{own[0]} must be left out: each set has its own, and --model and --data name "
            f"model and files. Received: {listed(f'{prefix}{key}' for key in own)}. Take "
            f"{'it' if len(own) == 1 else 'them'} out."
        )

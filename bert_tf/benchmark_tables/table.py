"""Results as the papers print them: a column a set, a row a model, as Markdown and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.metrics.tables import markdown_table
from bert_tf.system.listing import listed
from bert_tf.system.pictures import make_figure, save_figure

MISSING = "–"


def results_markdown(results: Mapping[str, Any]) -> str:
    """`results.md`."""
    sets: Mapping[str, Any] = results["sets"]
    seeds = results["seeds"]
    rows = [_row(f"**{results['model']['name']}** (dev)", _ours(sets), sets)]
    rows += [
        _row(f"{published['model']} ({published['split']})", _theirs(published, sets), sets)
        for published in results["published"]
    ]
    lines = [
        f"# {results['title']}: {results['model']['name']}",
        markdown_table(rows),
        f"Ours: mean ± standard deviation over {_counted(seeds)}, in percent, on the development "
        "sets (or what the notes say).",
        *_choice(sets),
        "Published:",
        "\n".join(
            f"- {it['model']} ({it['split']}): {it['source']}." for it in results["published"]
        ),
        "## Sets",
        markdown_table([_described(of_set) for of_set in sets.values()]),
        f"Settings that are not the user's are those of {results['recipe_source']}.",
    ]
    if notes := [f"- {it['title']}: {it['note']}" for it in sets.values() if it["note"]]:
        lines += ["## Notes", "\n".join(notes)]
    return "\n\n".join(line for line in lines if line) + "\n"


def draw_results(results: Mapping[str, Any], path: str | Path) -> None:
    """Bars of each score, ours with its standard deviation, beside the published numbers."""
    sets: Mapping[str, Any] = results["sets"]
    labels = [
        f"{of_set['title']}\n{score['title']}"
        for of_set in sets.values()
        for score in of_set["scores"].values()
    ]
    groups = [(str(results["model"]["name"]), _ours(sets))]
    groups += [(f"{it['model']} ({it['split']})", _theirs(it, sets)) for it in results["published"]]
    figure = make_figure(min(3.0 + 0.55 * len(labels) * len(groups), 40.0), 4.5)
    axes = figure.add_subplot()
    width = 0.8 / len(groups)
    for number, (name, cells) in enumerate(groups):
        bars = [cell for of_set in cells.values() for cell in of_set]
        heights = [mean or 0.0 for mean, _ in bars]
        errors = [std or 0.0 for _, std in bars]
        places = [place + (number - (len(groups) - 1) / 2) * width for place in range(len(bars))]
        axes.bar(places, heights, width, yerr=errors if any(errors) else None, label=name)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel("percent")
    axes.set_title(results["title"])
    figure.legend(loc="outside lower center")
    save_figure(figure, path)


Cells = Mapping[str, Sequence[tuple[float | None, float | None]]]
"""Of each set, mean and standard deviation of its scores, in percent."""


def _ours(sets: Mapping[str, Any]) -> Cells:
    return {
        name: [
            (_percent(score["mean"]), _percent(score["std"])) for score in of_set["scores"].values()
        ]
        for name, of_set in sets.items()
    }


def _theirs(published: Mapping[str, Any], sets: Mapping[str, Any]) -> Cells:
    return {
        name: [
            (value, None) for value in published["values"].get(name, (None,) * len(it["scores"]))
        ]
        for name, it in sets.items()
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _row(model: str, cells: Cells, sets: Mapping[str, Any]) -> dict[str, str]:
    row = {"model": model}
    for name, of_set in sets.items():
        titles = " / ".join(score["title"] for score in of_set["scores"].values())
        row[f"{of_set['title']}<br>{titles}"] = " / ".join(_cell(*cell) for cell in cells[name])
    return row


def _cell(mean: float | None, std: float | None) -> str:
    if mean is None:
        return MISSING
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def _counted(seeds: Sequence[int]) -> str:
    names = listed(seeds, max_items=20)
    return f"one seed ({names})" if len(seeds) == 1 else f"{len(seeds)} seeds ({names})"


def _choice(sets: Mapping[str, Any]) -> list[str]:
    most = max(of_set["num_settings_tried"] for of_set in sets.values())
    if most == 1:
        return []
    return [
        f"Of {most} settings tried, each set's best is reported, chosen by the first score on the "
        "same development set that it is measured on: the numbers are a little too good. All are "
        "in `results.json`."
    ]


def _described(of_set: Mapping[str, Any]) -> dict[str, Any]:
    settings, counts = of_set["settings"], dict(of_set["num_examples"])
    train = counts.pop("train")
    return {
        "set": of_set["title"],
        "training": train,
        "dev": " + ".join(f"{count:,}" for count in counts.values()),
        "epochs": f"{settings['num_epochs']:g}",
        "learning_rate": f"{settings['learning_rate']:g}",
        "batch": settings["batch_size"],
        "length": settings["max_seq_length"],
        "files": listed(of_set["files"].values()),
    }

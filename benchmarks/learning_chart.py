"""The curves of `learning_curve` as a picture: a line a learner and seed, guessing dashed."""

from collections.abc import Mapping
from pathlib import Path

Curve = Mapping[int, Mapping[str, float]]

PANELS = (
    ("masked_lm_loss", "masked-LM loss (nats)", "unigram_entropy"),
    ("next_sentence_accuracy", "next-sentence accuracy", "next_sentence_majority"),
)


def draw_chart(
    curves: Mapping[tuple[str, int], Curve], guesses: Mapping[str, float], *, path: Path
) -> None:
    """Write a PNG. `curves`: learner and seed -> step -> metrics on the held-out documents."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    learners = sorted({learner for learner, _ in curves})
    for axes, (metric, title, guess) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for (learner, _), curve in sorted(curves.items()):
            steps = sorted(curve)
            color = f"C{learners.index(learner)}"
            axes.plot(steps, [curve[step][metric] for step in steps], color=color, linewidth=1.2)
        axes.axhline(guesses[guess], color="gray", linestyle="--", linewidth=1)
        axes.set_xlabel("step")
        axes.set_title(f"held-out {title}", fontsize=10)
    for number, learner in enumerate(learners):
        axes.plot([], [], color=f"C{number}", label=learner)
    axes.plot([], [], color="gray", linestyle="--", label="guessing")
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)

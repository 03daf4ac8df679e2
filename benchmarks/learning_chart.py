"""The curves of `learning_curve` as a picture."""
from pathlib import Path


def draw_chart(curves, guesses, *, path: Path) -> None:
    raise NotImplementedError

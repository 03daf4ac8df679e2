"""A flow of three quick steps that tests tell, by files, what to do.

FOLDER/input.txt -> copy -> shout -> tell
FOLDER/<step>.do   Python to execute in that step, first
"""

import json
from pathlib import Path

from bert_tf.config import Config
from pipelines.engine.step import Context, Flow, Step, Stop


def folder_of(config: Config) -> Path:
    return Path(config.corpus.paths[0])


def copy(context: Context) -> Stop | None:
    stop = _obey("copy", context)
    text = (folder_of(context.config) / "input.txt").read_text()
    (context.directory / "text.txt").write_text(text.strip())
    return stop


def shout(context: Context) -> Stop | None:
    stop = _obey("shout", context)
    text = (context.folder("copy") / "text.txt").read_text()
    (context.directory / "loud.txt").write_text(text.upper())
    return stop


def tell(context: Context) -> Stop | None:
    stop = _obey("tell", context)
    text = (context.folder("shout") / "loud.txt").read_text()
    (context.directory / "told.json").write_text(json.dumps(text))
    return stop


def _obey(name: str, context: Context) -> Stop | None:
    """Count the call, and do what the step's file says; `stop` in it is the step's word."""
    folder = folder_of(context.config)
    with (folder / "calls.txt").open("a") as calls:
        calls.write(f"{name}\n")
    path, names = folder / f"{name}.do", {"context": context, "folder": folder, "stop": None}
    if path.is_file():
        exec(path.read_text(), names)
    return names["stop"]


COPY = Step(
    name="copy",
    work=copy,
    settings=("corpus",),
    files=lambda config: [folder_of(config) / "input.txt"],
    result=("text.txt",),
)
SHOUT = Step(name="shout", work=shout, after=("copy",), settings=("seed",), result=("loud.txt",))
TELL = Step(
    name="tell",
    work=tell,
    after=("shout",),
    skip=lambda context: "nothing to tell" if context.config.seed == 99 else None,
)
FLOW = Flow("small", "a text is told loudly", (COPY, SHOUT, TELL))

"""The rehearsal of docs/operations.md: its commands, run in their order, print what it says."""

import contextlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main
from serving.client.rest_client import RestClient
from serving.local_server import LocalServer
from serving.server.flags import parse_flags

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "operations.md"
MARKS = {1: "one", 2: "two", 3: "one"}
"""What a client sees of a version."""


def blocks() -> dict[str, list[str]]:
    """The commands of each part of the rehearsal, with the lines that say what they print."""
    text = DOCUMENT.read_text()
    section = text[text.index("\n## Roll-out and roll-back") :]
    section = section[: section.index("\n## ", 3)]
    parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)
    found = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    commands = {
        title: "".join(
            re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        ).splitlines()
        for title, part in found.items()
    }
    return {title: lines for title, lines in commands.items() if lines}


class Rehearsal:
    """Runs commands with BASE for the volume, and a server that starts with `apply -k`."""

    def __init__(self, base: Path, publish: Callable[[Path, int, str], Path]) -> None:
        self.base, self.publish = base, publish
        self.running = contextlib.ExitStack()
        self.server: LocalServer | None = None
        (line,) = [line for line in blocks()[""] if line.startswith("MODEL=")]
        self.model = line.partition("=")[2].strip('"')

    def run(self, line: str) -> str:
        """What a line of the document prints."""
        if line.startswith("kubectl "):
            return self.apply(line)
        url = self.server.rest_url if self.server else ""
        line = line.replace("$MODEL", self.model).replace("$SERVERS", url)
        line = re.sub(r"(?<![\w/])/models(?=/|\s|$)", f"{self.base}/models", line)
        name, *arguments = shlex.split(line)
        assert name == "bert-tf"
        if arguments[0] == "registry":
            return self.ask_registry(arguments)
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        return result.output

    def apply(self, line: str) -> str:
        """Only looks whether the file is there; with `-k` a server starts. No pod is waited for."""
        if line.startswith("kubectl wait "):
            return ""
        _, verb, option, place = line.split()
        assert (verb, (ROOT / place).exists()) == ("apply", True), line
        if option == "-k":
            path = self.base / "models" / "config" / "models.config"
            self.server = self.running.enter_context(
                LocalServer(
                    parse_flags([f"--model_config_file={path}"]).models,
                    rest_api_port=0,
                    model_config_file=str(path),
                    model_config_file_poll_wait_seconds=0.1,
                    file_system_poll_wait_seconds=0.1,
                )
            )
        return ""

    def ask_registry(self, arguments: list[str]) -> str:
        """The command and its options are there; what it publishes is a model of this test."""
        command = main
        context = click.Context(main)
        for argument in arguments[:2]:
            command = command.get_command(context, argument)
        command.make_context(arguments[1], arguments[2:])
        if arguments[1] == "publish":
            folder = self.base / "models" / "classifier"
            version = 1 + len(MARKS) - len([v for v in MARKS if not (folder / str(v)).exists()])
            self.publish(folder, version, MARKS[version])
        return ""

    def mark(self, label: str) -> str:
        assert self.server is not None
        with RestClient(self.server.rest_url, model_name="classifier", label=label) as client:
            return client.predict_texts(["x"])[0]["label"]


@pytest.fixture
def rehearsal(publish, tmp_path) -> Iterator[Rehearsal]:
    rehearsed = Rehearsal(tmp_path, publish)
    with rehearsed.running:
        yield rehearsed


def test_its_commands_print_what_it_says_and_clients_see_it(rehearsal) -> None:
    num_printed = 0
    for title in list(blocks())[1:]:
        lines = blocks()[title]
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if line.startswith("# "):
                continue
            printed = rehearsal.run(line).strip().replace(str(rehearsal.base), "")
            if following.startswith("# "):
                # The document has two servers, the test one.
                assert printed.replace("1 of 1", "2 of 2") == following.removeprefix("# "), line
                num_printed += 1
            stable = re.search(r"stable at (\d+)$", printed)
            if stable is not None:
                assert rehearsal.mark("stable") == MARKS[int(stable[1])], line
    assert num_printed >= 12


def test_what_it_says_of_a_mistake_is_a_command(rehearsal) -> None:
    text = DOCUMENT.read_text()
    commands = main.get_command(click.Context(main), "serving").commands
    for command, rest in re.findall(r"`bert-tf serving (\w+)([^`]*)`", text):
        assert command in commands
        options = {o for parameter in commands[command].params for o in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, f"{command} {rest}"

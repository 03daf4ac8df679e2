"""`bert-tf registry lineage` and `reproduce`: from a version back to its data, and forth again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bert_tf.cli.registry import choose_version, connect, registry
from bert_tf.cli.training import train


@registry.command()
@choose_version
@click.option("--json", "is_json", is_flag=True, help="All of it, configuration too, as JSON.")
def lineage(name: str, alias_or_version: str | int, is_json: bool) -> None:
    """Show what a version was made of: data, configuration, code, parents."""
    with connect() as tracking_uri:
        from bert_tf.registry.lineage import trace

        found = trace(name=name, alias_or_version=alias_or_version, tracking_uri=tracking_uri)
        click.echo(
            json.dumps(found.as_json(), ensure_ascii=False, indent=2)
            if is_json
            else found.describe()
        )


@registry.command()
@choose_version
@click.option("--output-dir", required=True, type=click.Path(), help="Of the new run.")
def reproduce(name: str, alias_or_version: str | int, output_dir: str) -> None:
    """Start the training of a version again, on the same data with the same configuration.

    On the same hardware and versions it ends with the same weights. Data that changed is an error;
    another version of the code is said.
    """
    with connect() as tracking_uri:
        from bert_tf.models.description import DESCRIPTION_FILE
        from bert_tf.registry.lineage import changed_inputs, trace, with_parent

        found = trace(name=name, alias_or_version=alias_or_version, tracking_uri=tracking_uri)
        if faults := changed_inputs(found.provenance):
            raise ValueError(
                f"{name} {alias_or_version}: its data must be as it was. Received: "
                + "; ".join(faults)
            )
        if (Path(output_dir) / DESCRIPTION_FILE).is_file():
            raise ValueError(
                f"{output_dir}: a training is reproduced in a folder of its own. Received: one "
                "with a training that has ended: nothing would be done. Give another "
                "--output-dir."
            )
        config = with_parent(found, output_dir, tracking_uri=tracking_uri)
        for note in _code_notes(found.provenance):
            click.echo(note, err=True)
        train(
            found.provenance["stage"],
            config,
            output_dir,
            engine="local",
            ray_address=None,
            num_workers=None,
            profile=None,
        )


def _code_notes(provenance: Mapping[str, Any]) -> list[str]:
    from bert_tf.system.environment import git_commit
    from bert_tf.system.version import __version__

    now = {"package_version": __version__, "git_commit": git_commit()}
    return [
        f"{key} was {provenance[key]} and is {value}: the result may differ."
        for key, value in now.items()
        if provenance[key] != value
    ]

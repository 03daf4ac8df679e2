"""`bert-tf registry gate` and `rollback`: what may become champion, and the way back."""

import json
from typing import TYPE_CHECKING, Any

import click

from bert_tf.cli.process import REFUSED
from bert_tf.cli.registry import choose_version, connect, registry
from bert_tf.cli.stage import configured

if TYPE_CHECKING:
    from bert_tf.config import Config


@registry.command()
@choose_version
@click.option("--data", required=True, type=click.Path(), help="Labelled texts, fresh ones.")
@click.option("--source-field", help="Column that says where a text comes from: its slices.")
@configured
@click.option("--promote", "promotes", is_flag=True, help="Make it champion if it passes.")
@click.option("--json", "is_json", is_flag=True, help="The whole decision as JSON.")
def gate(
    name: str,
    alias_or_version: str | int,
    data: str,
    source_field: str | None,
    config: "Config",
    promotes: bool,
    is_json: bool,
) -> None:
    """Compare a version with the champion on labelled texts.

    Its limits are the section `gate`, its columns those that `finetuning` names. Exit code 3: it
    may not replace the champion.
    """
    with connect() as tracking_uri:
        from bert_tf.data.tables.reading import read_table
        from bert_tf.data.tables.values import texts_of
        from bert_tf.registry.judging import judge, promote_judged, task_of_version

        chosen: dict[str, Any] = {"name": name, "alias_or_version": alias_or_version}
        task = task_of_version(config.finetuning, **chosen, tracking_uri=tracking_uri)
        table = read_table(data, config=config.finetuning.table, key="--data")
        sources = texts_of(table, source_field, key="--source-field") if source_field else None
        judgement = judge(
            **chosen,
            examples=task.read_held_out(table, config.finetuning),
            task=task,
            sources=sources,
            config=config.gate,
            seed=config.seed,
            tracking_uri=tracking_uri,
        )
        decision = judgement.decision
        click.echo(
            json.dumps(decision.as_json(), ensure_ascii=False)
            if is_json
            else decision.as_markdown()
        )
        against = f"champion {judgement.champion}" if judgement.champion else "no champion"
        what = f"{name} version {judgement.version} against {against}: {decision.reason}"
        click.echo(what, err=True)
        if not decision.has_passed:
            raise SystemExit(REFUSED)
        if promotes:
            promote_judged(judgement, tracking_uri=tracking_uri)
            click.echo(f"{name} version {judgement.version} is champion", err=True)


@registry.command()
@click.option("--name", required=True, help="Registered model.")
def rollback(name: str) -> None:
    """Make the version before the champion the champion again."""
    with connect() as tracking_uri:
        from bert_tf.registry import roll_back

        version = roll_back(name=name, tracking_uri=tracking_uri)
        click.echo(f"{name} version {version.version} is champion again")

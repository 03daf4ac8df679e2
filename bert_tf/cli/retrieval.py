"""`bert-tf mine-negatives` and `evaluate-retrieval`: what an export's embeddings find."""

from typing import Any

import click

from bert_tf.cli.stage import print_metrics, shown_progress
from bert_tf.cli.table_options import table_config, table_options


@click.command("mine-negatives")
@click.option("--model", required=True, type=click.Path(), help="SavedModel, or BASE/NAME.")
@click.option("--pairs", required=True, type=click.Path(), help="A table of queries and passages.")
@click.option("--output", required=True, type=click.Path(), help="A .csv, .jsonl or .parquet.")
@click.option("--query-field", default="text", show_default=True, help="Column of the queries.")
@click.option(
    "--passage-field", default="text_pair", show_default=True, help="Column of their passages."
)
@click.option("--corpus", type=click.Path(), help="A table of further passages.")
@click.option("--corpus-field", default="text", show_default=True, help="Its column.")
@click.option("--negatives", "num_negatives", default=1, show_default=True, type=click.IntRange(1))
@click.option(
    "--first-rank",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Leave out what is nearer to the query: it may be an answer.",
)
@click.option("--last-rank", default=100, show_default=True, type=click.IntRange(1))
@click.option(
    "--margin", type=float, help="By how much the cosine must be below the right passage's."
)
@click.option("--largest-cosine", type=float, help="What a negative's cosine is at most.")
@click.option(
    "--choice",
    type=click.Choice(["nearest", "random"]),
    default="nearest",
    show_default=True,
    help="Of the passages that are left.",
)
@click.option("--seed", default=0, show_default=True, type=int)
@click.option(
    "--prefixes",
    "has_prefixes",
    is_flag=True,
    help="Put the model's query_prefix and passage_prefix before the texts.",
)
@table_options
def mine_negatives(
    model: str,
    pairs: str,
    output: str,
    query_field: str,
    passage_field: str,
    corpus: str | None,
    corpus_field: str,
    has_prefixes: bool,
    num_negatives: int,
    first_rank: int,
    last_rank: int,
    margin: float | None,
    largest_cosine: float | None,
    choice: Any,
    seed: int,
    **table_settings: Any,
) -> None:
    """Write the pairs with passages that are near to the query and not its answer.

    Train on them with --task embedding and finetuning.task.negative_fields. The same command goes
    on where it was killed.
    """
    from bert_tf.retrieval.mining import MiningRules
    from bert_tf.retrieval.mining import mine_negatives as mine

    rules = MiningRules(
        num_negatives=num_negatives,
        first_rank=first_rank,
        last_rank=last_rank,
        margin=margin,
        largest_cosine=largest_cosine,
        choice=choice,
        seed=seed,
    )
    with shown_progress() as show:
        path = mine(
            model,
            pairs,
            output,
            query_field=query_field,
            passage_field=passage_field,
            corpus=corpus,
            corpus_field=corpus_field,
            rules=rules,
            config=table_config(table_settings),
            has_prefixes=has_prefixes,
            on_progress=show,
        )
    click.echo(str(path))


@click.command("evaluate-retrieval")
@click.option("--model", required=True, type=click.Path(), help="SavedModel, or BASE/NAME.")
@click.option(
    "--data",
    required=True,
    type=click.Path(),
    help="A folder as BEIR has it: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.",
)
@click.option("--split", default="test", show_default=True)
@click.option("--output-dir", required=True, type=click.Path())
@click.option(
    "--prefixes",
    "has_prefixes",
    is_flag=True,
    help="Put the model's query_prefix and passage_prefix before the texts.",
)
def evaluate_retrieval(
    model: str, data: str, split: str, output_dir: str, has_prefixes: bool
) -> None:
    """Measure an exact search: nDCG and MRR of the first 10, MAP, recall, with intervals.

    Embeddings that are in the output folder already are not made again.
    """
    from bert_tf.retrieval.evaluation import evaluate_retrieval as evaluate

    with shown_progress() as show:
        metrics = evaluate(
            model, data, output_dir, split=split, has_prefixes=has_prefixes, on_progress=show
        )
    print_metrics(metrics)

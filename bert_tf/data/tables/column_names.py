"""Names of columns in; refused where two are one, or are so to the eye."""

import logging
from collections.abc import Sequence

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.system.lookalikes import alike_pairs, tell_apart

logger = logging.getLogger(__name__)


def check_names(names: Sequence[str], *, place: str, advice: str = "Rename the columns") -> None:
    """Raise ValueError where two columns have one name, which may be spelled in two ways.

    Spellings are one as those of labels are, see `canonical_text`. Names whose letters are of two
    scripts and print alike stay two; a warning tells them apart.

    Args:
        place: what the columns are of.
        advice: a clause on the way out.
    """
    places: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        first = places.setdefault(canonical_text(name), number)
        if first != number:
            other = names[first - 1]
            received = f"{name!r} more than once" if name == other else "one name in two spellings"
            raise ValueError(
                f"{place}: every column needs a name of its own. Received: {received}, in columns "
                f"{first} and {number}.{tell_apart(other, name)} {advice}."
            )
    for other, name in alike_pairs(names):
        logger.warning(
            "%s: two columns have names that print alike.%s", place, tell_apart(other, name)
        )

"""Whether a Hugging Face folder's text is lower-cased and loses accents.

`tokenizer_config.json` says it to the Bert classes, `tokenizer.json` to the others. Where no file
says it the vocabulary does, and what is asked for overrules all of them.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bert_tf.data.text.vocabulary_case import is_uncased

logger = logging.getLogger(__name__)

BERT_CLASSES = (
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
)
"""Their settings stand in the configuration."""
GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""These take `tokenizer.json` as it is."""


class Files(NamedTuple):
    """What the files hold; an empty mapping for one that is not there."""

    config: Mapping[str, Any]
    """`tokenizer_config.json`."""
    backend: Mapping[str, Any]
    """`tokenizer.json`."""
    bert: Mapping[str, Any]
    """The BertNormalizer in it."""

    @property
    def config_rules(self) -> bool:
        return class_name(self.config) in BERT_CLASSES or not self.backend


def class_name(config: Mapping[str, Any]) -> str:
    """The tokenizer's class; BERT's where the configuration names none."""
    return str(config.get("tokenizer_class") or BERT_CLASSES[0])


def decide_case(
    files: Files, tokens: Sequence[str], *, asked_for: bool | None, source: str
) -> tuple[tuple[bool, bool], list[str]]:
    """Whether text is lower-cased and loses accents, and where the files contradict each other.

    Args:
        asked_for: lower case or not, whatever the files say.
    """
    if asked_for is not None:
        said = _said("do_lower_case", files.config)
        said = _said("lowercase", files.bert) if said is None else said
        if said not in (None, asked_for):
            logger.warning(
                "%s: the files say that text is%s lower-cased. lower_case=%s overrules them.",
                *(source, "" if said else " not", asked_for),
            )
        accents = _said("strip_accents", files.config, files.bert)
        return (asked_for, asked_for and accents is not False), []
    is_said = _said("do_lower_case", files.config) is not None or "lowercase" in files.bert
    if files.config_rules and not is_said:
        files = files._replace(config=_with_case(files.config, tokens, source=source))
    return _of_files(files)


def _with_case(
    config: Mapping[str, Any], tokens: Sequence[str], *, source: str
) -> Mapping[str, Any]:
    """The configuration, with the vocabulary's `do_lower_case`."""
    keeps_accents = _said("strip_accents", config) is False
    lower_case = is_uncased(tokens, strip_accents=not keeps_accents)
    logger.log(
        logging.INFO if lower_case else logging.WARNING,
        "%s: no file says whether text is lower-cased. By its pieces this vocabulary is %s.",
        source,
        "uncased"
        if lower_case
        else "cased: it is read so, while `transformers` lower-cases without do_lower_case=false",
    )
    return {**config, "do_lower_case": lower_case}


def _of_files(files: Files) -> tuple[tuple[bool, bool], list[str]]:
    says_case = _said("do_lower_case", files.config)
    by_config = _case(True if says_case is None else says_case, files.config)
    by_backend = _case(files.bert.get("lowercase", False), files.bert)
    ruling = by_config if files.config_rules else by_backend
    faults = []
    if files.config_rules and files.bert and by_backend != by_config:
        faults.append(
            f"lower case {by_config[0]} and accents stripped {by_config[1]} by "
            f"tokenizer_config.json (or its defaults), but {by_backend[0]} and {by_backend[1]} by "
            "tokenizer.json: say which with lower_case (--lower-case or --no-lower-case)"
        )
    if ruling == (False, True):
        faults.append("strip_accents=True with do_lower_case=False")
    return ruling, faults


def _case(lower_case: bool, settings: Mapping[str, Any]) -> tuple[bool, bool]:
    """Unsaid, accents go with the capitals."""
    strip_accents = _said("strip_accents", settings)
    return lower_case, lower_case if strip_accents is None else strip_accents


def _said(key: str, *settings: Mapping[str, Any]) -> bool | None:
    """The first value that is there."""
    values = (of.get(key) for of in settings)
    return next((value for value in values if value is not None), None)

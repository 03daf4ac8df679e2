"""The section `decoding`: how a decoder's outputs are searched for answers."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from bert_tf.config.section import Section

_OF_BEAM = {"beam_size": 1, "length_penalty": 0.0, "ends_early": True}
_OF_SAMPLE = {"temperature": 1.0, "top_k": None, "top_p": 1.0, "seed": 0}
"""Settings of one method, with the values that change nothing."""


class DecodingConfig(Section):
    """Greedy, beam search or sampling; how long answers are; how many of them.

    Lengths are tokens of an answer with its end token, which is one step of the decoder each.
    """

    method: Literal["greedy", "beam", "sample"] = "beam"
    beam_size: pydantic.PositiveInt = 1
    """Hypotheses a text. Default: 4 with method=beam (Vaswani et al. 2017), else 1. A beam of 1 is
    greedy."""
    length_penalty: pydantic.NonNegativeFloat = 0.0
    """Alpha of Wu et al. 2016, section 7: scores are log-probabilities divided by
    ((5 + length) / 6)^alpha. Default: 0.6 with method=beam (Vaswani et al. 2017), else 0: none."""
    num_answers: pydantic.PositiveInt = 1
    """Best answers of a beam, at most beam_size; or samples of a text."""
    min_length: pydantic.NonNegativeInt = 0
    """No end token before an answer has so many tokens."""
    max_length: pydantic.PositiveInt = 256
    max_extra_length: pydantic.NonNegativeInt | None = None
    """An answer has at most max_length_factor x (tokens of its source) + this many tokens. Vaswani
    et al. 2017 have 50 for translation. Default: max_length alone."""
    max_length_factor: pydantic.PositiveFloat = 1.0
    no_repeat_ngram_size: pydantic.NonNegativeInt = 0
    """No sequence of so many tokens stands twice in an answer; 0 allows it."""
    ends_early: bool = True
    """A beam search ends when no hypothesis can beat the answers found. False goes on to the
    longest length: the same answers in more time."""
    temperature: pydantic.PositiveFloat = 1.0
    """Logits are divided by it before sampling: below 1 likely tokens become likelier."""
    top_k: pydantic.PositiveInt | None = None
    """Samples are of this many likeliest tokens (Fan et al. 2018). Default: all."""
    top_p: float = pydantic.Field(default=1.0, gt=0.0, le=1.0)
    """Samples are of the fewest likeliest tokens with this probability together, after top_k
    (Holtzman et al. 2020)."""
    seed: int = pydantic.Field(default=0, ge=0, lt=2**63)
    max_mb_per_text: pydantic.PositiveInt = 1024
    """What beam_size, or num_answers, hypotheses of max_length may take in memory; more is refused
    before the search is made."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in_beam(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("method", "beam") == "beam":
            return {"beam_size": 4, "length_penalty": 0.6, **values}
        return values

    @pydantic.model_validator(mode="after")
    def _settings_fit_the_method(self) -> Self:
        for method, settings in (("beam", _OF_BEAM), ("sample", _OF_SAMPLE)):
            for name, neutral in settings.items():
                if self.method != method and getattr(self, name) != neutral:
                    raise ValueError(
                        f"{name} is for method={method}. Received: {name}={getattr(self, name)}, "
                        f"method={self.method}. Set method={method}, or leave {name} out."
                    )
        return self

    @pydantic.model_validator(mode="after")
    def _answers_are_there(self) -> Self:
        most = {"greedy": 1, "beam": self.beam_size}.get(self.method, self.num_answers)
        if self.num_answers > most:
            raise ValueError(
                f"num_answers must be at most beam_size, and 1 with method=greedy. Received: "
                f"num_answers={self.num_answers}, beam_size={self.beam_size}, "
                f"method={self.method}. Set num_answers={most}, or method=beam and "
                f"beam_size={self.num_answers}."
            )
        return self

    @pydantic.model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        if self.min_length >= self.max_length:
            raise ValueError(
                "min_length must be below max_length, which counts the end token. Received: "
                f"min_length={self.min_length}, max_length={self.max_length}. "
                f"Set min_length to {self.max_length - 1} or less."
            )
        if self.max_extra_length is None and self.max_length_factor != 1.0:
            raise ValueError(
                "max_length_factor needs max_extra_length. Received: "
                f"max_length_factor={self.max_length_factor} alone. Set max_extra_length, such as "
                "50, or leave max_length_factor out."
            )
        return self

    @property
    def num_hypotheses(self) -> int:
        """Computed side by side for a text: of a beam, or samples."""
        return self.beam_size if self.method == "beam" else self.num_answers

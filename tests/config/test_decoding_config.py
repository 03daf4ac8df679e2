"""What a search can be set to, and what makes no sense together."""

import pydantic
import pytest

from bert_tf.config import DecodingConfig


def test_defaults_are_those_of_the_transformer_s_paper():
    config = DecodingConfig()
    assert (config.method, config.beam_size, config.length_penalty) == ("beam", 4, 0.6)
    assert config.num_hypotheses == 4


@pytest.mark.parametrize("method", ["greedy", "sample"])
def test_settings_of_a_beam_are_not_filled_in_for_other_methods(method):
    config = DecodingConfig(method=method)
    assert (config.beam_size, config.length_penalty, config.num_hypotheses) == (1, 0.0, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"beam_size": 8, "num_answers": 8, "length_penalty": 0.0, "ends_early": False},
        {"method": "greedy", "min_length": 3, "no_repeat_ngram_size": 3},
        {"method": "sample", "num_answers": 5, "top_k": 50, "top_p": 0.9, "seed": 2**62},
        {"max_extra_length": 50, "max_length_factor": 1.5},
    ],
)
def test_a_configuration_that_is_written_reads_the_same(settings):
    config = DecodingConfig(**settings)
    assert DecodingConfig(**config.model_dump()) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "greedy", "beam_size": 4}, "beam_size is for method=beam. Received: "),
        ({"method": "sample", "length_penalty": 0.6}, "length_penalty is for method=beam"),
        ({"method": "greedy", "ends_early": False}, "ends_early is for method=beam"),
        ({"temperature": 0.7}, "temperature is for method=sample. Received: temperature=0.7"),
        ({"method": "greedy", "top_k": 5}, "top_k is for method=sample"),
        ({"top_p": 0.5}, "top_p is for method=sample"),
        ({"seed": 1}, "seed is for method=sample"),
        ({"num_answers": 5}, "at most beam_size.*num_answers=5, beam_size=4.*beam_size=5"),
        ({"method": "greedy", "num_answers": 2}, "1 with method=greedy"),
        ({"max_length": 5, "min_length": 5}, "min_length must be below max_length.*to 4 or less"),
        ({"max_length_factor": 2.0}, "max_length_factor needs max_extra_length"),
        ({"method": "sample", "temperature": 0.0}, "greater than 0"),
        ({"method": "sample", "top_p": 0.0}, "greater than 0"),
        ({"method": "sample", "top_p": 1.1}, "less than or equal to 1"),
        ({"method": "sample", "top_k": 0}, "greater than 0"),
        ({"method": "sample", "seed": -1}, "greater than or equal to 0"),
        ({"beam_size": 0}, "greater than 0"),
        ({"length_penalty": -0.1}, "greater than or equal to 0"),
        ({"max_length": 0}, "greater than 0"),
        ({"beam_size": True}, "must be a number"),
        ({"method": "best"}, "'greedy', 'beam' or 'sample'"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        DecodingConfig(**settings)

"""Describes for the log which variables are decayed and at which rates layers learn."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from bert_tf.config import OptimizerConfig
from bert_tf.training.optimizers.parameters import Parameter


def describe_decay(parameters: Sequence[Parameter], *, config: OptimizerConfig) -> str:
    """How many variables weight decay is for, those it leaves out, and learning rates by layer.

    Weight decay 0.01 on 54 variables (109,951,488 parameters), none on 104 variables (…):
       12 x encoder/layer_*/attention/query_key_value/bias  27,648
        1 x masked_lm/bias                                  30,522
        …
    Learning rates with layer_decay 0.8:
      0.0550 x encoder/embeddings
      …
    """
    lines = [
        f"Weight decay {config.weight_decay_rate:g} on "
        f"{_total(parameter for parameter in parameters if parameter.decays)}, none on "
        f"{_total(parameter for parameter in parameters if not parameter.decays)}:"
    ]
    left_out = [parameter for parameter in parameters if not parameter.decays]
    names = Counter(_pattern(parameter) for parameter in left_out)
    sizes: Counter[str] = Counter()
    for parameter in left_out:
        sizes[_pattern(parameter)] += _size(parameter)
    width = max((len(name) for name in names), default=0)
    lines += [f"  {count:3d} x {name:{width}}  {sizes[name]:,}" for name, count in names.items()]
    if config.layer_decay != 1.0:
        lines.append(f"Learning rates with layer_decay {config.layer_decay:g}:")
        lines += _rate_lines(parameters)
    return "\n".join(lines)


def _rate_lines(parameters: Sequence[Parameter]) -> list[str]:
    """One line a rate, with the layers that have it."""
    layers: dict[float, dict[str, None]] = {}
    for parameter in parameters:
        layer = "/".join(_name(parameter).split("/")[:2])
        layers.setdefault(parameter.rate_factor, {})[layer] = None
    return [f"  {factor:.4f} x {', '.join(names)}" for factor, names in sorted(layers.items())]


def _total(parameters: Iterable[Parameter]) -> str:
    sizes = [_size(parameter) for parameter in parameters]
    return f"{len(sizes)} variables ({sum(sizes):,} parameters)"


def _size(parameter: Parameter) -> int:
    return math.prod(parameter.variable.shape)


def _name(parameter: Parameter) -> str:
    """The variable's path below the model."""
    return parameter.variable.path.split("/", 1)[-1]


def _pattern(parameter: Parameter) -> str:
    """Its name, a star for the number of a layer."""
    return re.sub(r"\d+", "*", _name(parameter))

"""How much memory a training step takes, and how much there is.

On a CPU nothing refuses an allocation: the kernel kills the process once the machine or its
container is full. So a step's need is estimated before it is computed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from bert_tf.config import ModelConfig

CGROUPS = Path("/sys/fs/cgroup")
LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Files of the limit and the use, and the name of what can be dropped: of both cgroup versions."""

# Of the logits: the product, with its bias, exponentials, the loss' gradient, the product's.
_COPIES_OF_LOGITS = 5


class StepShape(NamedTuple):
    """What one replica computes at once: rows of a micro-batch."""

    num_rows: int
    length: int
    num_predictions: int
    """Of a row; 0 without a masked-token head."""
    target_length: int = 0
    """Of a row; 0 without a decoder. All of its tokens are predicted."""

    @property
    def num_tokens(self) -> int:
        """Of both sides, padding included."""
        return self.num_rows * (self.length + self.target_length)


def step_bytes(
    config: ModelConfig,
    shape: StepShape,
    *,
    num_weights: int,
    bytes_a_number: int,
    rematerialize: bool,
    is_accumulating: bool,
) -> int:
    """What a step of one replica holds at its peak at least, besides weights and moments.

    Counted: what the layers keep for the backward pass (a token and layer: 8 times the width, twice
    the intermediate size, twice its attention weights; a decoder's token 4 times the width and
    twice its weights of the source more, with a key and a value of each token there), two layers
    more for the one at work, the logits and what is made of them, and the gradients. Not counted:
    what compiling takes and what the allocator holds back. Peaks of encoders measured on a CPU in
    float32 (mini, small, base; 1 to 128 rows of 128 and 512 tokens) were 1.1 to 1.4 times this,
    200 to 900 MB more.

    Args:
        bytes_a_number: of the type that layers compute in.
        is_accumulating: gradients are summed over micro-batches.
    """
    layer = _layer_numbers(config, shape.num_rows, shape.length) * bytes_a_number
    tokens = config.num_hidden_layers * shape.length
    kept, largest = config.num_hidden_layers * layer, layer
    if shape.target_length:
        decoder_layer = _layer_numbers(config, shape.num_rows, shape.target_length, shape.length)
        decoder_layer *= bytes_a_number
        kept += config.num_decoder_layers * decoder_layer
        largest = max(layer, decoder_layer)
        tokens += config.num_decoder_layers * shape.target_length
    if rematerialize:
        kept = shape.num_rows * tokens * config.hidden_size * bytes_a_number + largest
    vocab_size = (shape.target_length and config.target_vocab_size) or config.vocab_size or 0
    num_predictions = shape.num_predictions + shape.target_length
    logits = 4 * shape.num_rows * num_predictions * vocab_size
    gradients = 4 * num_weights * (2 if is_accumulating else 1)
    return kept + 2 * largest + _COPIES_OF_LOGITS * logits + gradients


def _layer_numbers(
    config: ModelConfig, num_rows: int, length: int, memory_length: int | None = None
) -> int:
    """What a layer keeps; a decoder's attends to `memory_length` places besides."""
    width, heads = config.hidden_size, config.num_attention_heads
    of_token = 8 * width + 2 * config.intermediate_size + 2 * heads * length
    if memory_length is None:
        return num_rows * length * of_token
    of_token += 4 * width + 2 * heads * memory_length
    return num_rows * (length * of_token + memory_length * 2 * width)


def available_bytes(cgroups: Path = CGROUPS) -> int:
    """What the process may still take: of the machine, and of every control group it is in."""
    left = [psutil.virtual_memory().available + psutil.swap_memory().free]
    for folder in _own_groups(cgroups):
        for limit_file, usage_file, droppable in LIMITS:
            limit = _number(folder / limit_file)
            usage = _number(folder / usage_file)
            if limit is not None and usage is not None:
                left.append(limit - usage + _statistic(folder / "memory.stat", droppable))
    return max(0, min(left))


def _own_groups(cgroups: Path) -> Iterator[Path]:
    """The folders of the process's control groups and of those around them.

    In a container the root of the tree is the container's own group.
    """
    table = Path("/proc/self/cgroup")
    lines = table.read_text("utf-8").splitlines() if table.is_file() else []
    found = {cgroups, cgroups / "memory"}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = cgroups / "memory" if controllers else cgroups
            group = root / path.lstrip("/")
            found |= {folder for folder in (group, *group.parents) if folder.is_relative_to(root)}
    yield from sorted(found)


def _number(path: Path) -> int | None:
    """The whole number in a file; None without the file, or where there is no limit ("max")."""
    text = path.read_text("utf-8").strip() if path.is_file() else ""
    return int(text) if text.isdecimal() else None


def _statistic(path: Path, name: str) -> int:
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return sum(int(line.split()[1]) for line in lines if line.split()[0] == name)

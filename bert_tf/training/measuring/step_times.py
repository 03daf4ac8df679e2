"""A trace of TensorFlow's profiler in, where the time of a step went out, layer by layer.

Operations carry the names of the layers that made them: `…/encoder/layer_0/attention/MatMul`, and
`gradient_tape/…` before the same in the backward pass. A moment of a step's wall time belongs to
the operations that ran then, in equal parts where several did; where none did it is `nothing
traced`: dispatch, and waiting for input. So the rows add up to the step's time.

What it cannot say: inside a kernel that XLA fused there are no names, so its time is that of the
layer half that calls it; operations that TensorFlow makes outside of any layer (sums of gradients
of weights used twice, reductions over replicas) are `rest`; what `rematerialize` computes again is
in the column of the forward pass. Tracing itself costs time, and each traced step is waited for.
With GPUs it is their kernels that count, as CUDA's tracer names them; that was not tried yet.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

STEP_EVENT = "train"
"""The name of the event that spans a step; see `tf.profiler.experimental.Trace`."""
NOTHING = "nothing traced"
REST = "rest"

_OPERATION = re.compile(r"([\w./\-]+):\w+")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_ASYNCHRONOUS = "ExecutorState::ProcessAsync::Start"
_INPUT_THREADS = "tf_data"

# The first that matches an operation's name says which row it belongs to. TensorFlow numbers names
# that come again (`layer_0_1` is layer 0, traced anew).
_ROWS = (
    (r"(optimizer|global_norm|clip_by_global_norm)(_\d+)?/", "optimizer"),
    (r"decoder(?:_\d+)?/layer_(\d+)(_\d+)?/attention(_\d+)?/", "decoder layer_{} attention"),
    (
        r"decoder(?:_\d+)?/layer_(\d+)(_\d+)?/cross_attention(_\d+)?/",
        "decoder layer_{} cross-attention",
    ),
    (
        r"decoder(?:_\d+)?/layer_(\d+)(_\d+)?/feed_forward(_\d+)?/",
        "decoder layer_{} feed-forward",
    ),
    (r"decoder(?:_\d+)?/layer_(\d+)(_\d+)?/", "decoder layer_{} other"),
    (r"embeddings(_\d+)?/", "embeddings"),
    (r"layer_(\d+)(_\d+)?/attention(_\d+)?/", "layer_{} attention"),
    (r"layer_(\d+)(_\d+)?/feed_forward(_\d+)?/", "layer_{} feed-forward"),
    (r"layer_(\d+)(_\d+)?/", "layer_{} other"),
    (r"final_layer_norm(_\d+)?/", "final norm"),
    (r"pooler(_\d+)?/", "pooler"),
    (r"(masked_lm|next_sentence|head)(_\d+)?/", "{}"),
    (r"loss(_\d+)?/", "loss"),
    (r"output(_\d+)?/", "output"),
)
_PATTERNS = [(re.compile(r"(?:^|/)" + pattern), row) for pattern, row in _ROWS]


class Span(NamedTuple):
    """An operation on one thread or stream; picoseconds."""

    start: int
    end: int
    name: str


class StepTimes(NamedTuple):
    """Seconds of the mean step, by row and by whether it is of the backward pass."""

    seconds_per_step: float
    by_row: dict[tuple[str, bool], float]


def read_step_times(directory: str | Path, *, names: Mapping[str, str] | None = None) -> StepTimes:
    """Of the newest trace below a TensorBoard folder.

    Args:
        names: of operations that are to be taken for others, see `names_of_calls`.

    Raises:
        ValueError: there is no trace of a step.
    """
    whole, seconds = read_operation_seconds(directory)
    by_row: dict[tuple[str, bool], float] = defaultdict(float)
    for name, time in seconds.items():
        known = (names or {}).get(without_branch(name or ""), name)
        by_row[row_of(known)] += time
    return StepTimes(whole, dict(by_row))


def read_operation_seconds(directory: str | Path) -> tuple[float, dict[str | None, float]]:
    """Seconds of the mean step, and of each of its operations, of the newest trace.

    Raises:
        ValueError: there is no trace of a step.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    paths = sorted(Path(directory).glob("plugins/profile/*/*.xplane.pb"))
    planes = [
        plane
        for path in paths
        if path.parent == paths[-1].parent
        for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes
    ]
    steps = [span for plane in planes for span in _steps(plane)]
    if not steps:
        raise ValueError(
            f"{directory}: a trace must hold a step. Received: {len(paths)} trace(s) without. "
            "Profile steps that the run trains."
        )
    devices = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    threads = [line for plane in devices or planes for line in _operations(plane, bool(devices))]
    shares = share_time(threads, steps)
    unit = 1e12 * len(steps)
    whole = sum(step.end - step.start for step in steps) / unit
    return whole, {name: time / unit for name, time in shares.items()}


def names_of_calls(graph: Any) -> dict[str, str]:
    """Calls of the backward pass that TensorFlow gives no layer -> a name that has it.

    The gradient of a fused kernel, `PartitionedCall_7`, takes what the kernel itself has kept,
    `…/layer_0/attention/PartitionedCall_1`: it becomes `gradient_tape/` and that.

    Args:
        graph: the step as a GraphDef.
    """
    names = {}
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        kinds = {node.name: node.op for node in nodes}
        for node in nodes:
            if node.op not in _CALLS or row_of(node.name)[0] != REST:
                continue
            inputs = [name.lstrip("^").split(":")[0] for name in node.input]
            kernels = [
                name for name in inputs if kinds.get(name) in _CALLS and row_of(name)[0] != REST
            ]
            if kernels:
                names[without_branch(node.name)] = f"gradient_tape/{kernels[0]}"
    return names


def row_of(name: str | None) -> tuple[str, bool]:
    """The row of an operation's name, and whether it is of the backward pass."""
    if name is None:
        return NOTHING, False
    for pattern, row in _PATTERNS:
        if match := pattern.search(name):
            return row.format(match[1]), "gradient_tape/" in name
    return REST, "gradient_tape/" in name


def share_time(threads: Iterable[list[Span]], steps: Iterable[Span]) -> dict[str | None, float]:
    """Picoseconds of the steps by operation, None where there was none.

    On a thread the innermost operation counts; of n threads at work each gets an n-th.
    """
    changes: list[tuple[int, int, str]] = []  # when, by how much, of which operation
    for spans in threads:
        for span in _innermost(spans):
            changes += [(span.start, 1, span.name), (span.end, -1, span.name)]
    limits = [(time, kind) for step in steps for time, kind in ((step.start, 1), (step.end, -1))]
    events = sorted(
        [(t, 0, n, name) for t, n, name in changes] + [(t, 1, n, "") for t, n in limits]
    )
    shares: dict[str | None, float] = defaultdict(float)
    running: Counter[str] = Counter()
    num_steps, before = 0, 0
    for time, is_limit, change, name in events:
        if num_steps and time > before:
            total = sum(running.values())
            for active, count in running.items():
                shares[active] += (time - before) * count / total
            if not total:
                shares[None] += time - before
        before = time
        if is_limit:
            num_steps += change
            continue
        running[name] += change
        if not running[name]:
            del running[name]
    return shares


def describe(times: StepTimes, *, title: str) -> str:
    """A table for people: a row a layer half, milliseconds forward, backward and in all, share."""
    rows = sorted({row for row, _ in times.by_row}, key=_order)
    lines = [
        title,
        f"{'':<24}{'forward, ms':>12}{'backward, ms':>14}{'in all, ms':>12}{'share':>8}",
    ]
    for row in rows:
        forward, backward = (
            1e3 * times.by_row.get((row, is_back), 0.0) for is_back in (False, True)
        )
        total = forward + backward
        has_passes = row not in ("optimizer", NOTHING)
        parts = f"{forward:>12.1f}{backward:>14.1f}" if has_passes else " " * 26
        lines.append(f"{row:<24}{parts}{total:>12.1f}{total / 1e3 / times.seconds_per_step:>8.1%}")
    total = 1e3 * sum(times.by_row.values())
    lines.append(f"{'the step':<50}{total:>12.1f}{total / 1e3 / times.seconds_per_step:>8.1%}")
    return "\n".join(lines)


def _steps(plane: Any) -> Iterator[Span]:
    for line in plane.lines:
        for span in _spans(plane, line):
            if span.name == STEP_EVENT:
                yield span


def _operations(plane: Any, is_gpu: bool) -> Iterator[list[Span]]:
    """The operations of each thread (stream) that computes."""
    stats = {number: entry.name for number, entry in plane.stat_metadata.items()}
    wanted = "tf_op" if is_gpu else "name"
    for line in plane.lines:
        if line.name.startswith(_INPUT_THREADS):
            continue
        spans = []
        for span, event in zip(_spans(plane, line), line.events, strict=True):
            name = ""
            if is_gpu or span.name == _ASYNCHRONOUS:  # the operation's own name is a statistic
                found = [stat for stat in event.stats if stats.get(stat.metadata_id) == wanted]
                if found:
                    name = found[0].str_value or stats.get(found[0].ref_value, "")
            elif operation := _OPERATION.fullmatch(span.name):
                name = operation[1]
            if name:
                spans.append(span._replace(name=name.split(":")[0]))
        if spans:
            yield spans


def _spans(plane: Any, line: Any) -> Iterator[Span]:
    """Every event of a line, in its order."""
    base = 1000 * line.timestamp_ns
    for event in line.events:
        start = base + event.offset_ps
        name = plane.event_metadata[event.metadata_id].name
        yield Span(start, start + event.duration_ps, name)


def without_branch(name: str) -> str:
    """A name in the body of a loop or branch, as it is there: without what leads to it."""
    return re.sub(r"^.*/_\d+/", "", name)


def _innermost(spans: list[Span]) -> Iterator[Span]:
    """Pieces of nested spans in which each is the innermost."""
    stack: list[Span] = []
    at = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        while stack and stack[-1].end <= span.start:
            top = stack.pop()
            if top.end > at:
                yield Span(at, top.end, top.name)
                at = top.end
        if stack and span.start > at:
            yield Span(at, span.start, stack[-1].name)
        stack.append(span)
        at = max(at, span.start)
    while stack:
        top = stack.pop()
        if top.end > at:
            yield Span(at, top.end, top.name)
            at = top.end


def _order(row: str) -> tuple[int, int, str]:
    """As a batch passes through them."""
    layers = ("embeddings", "layer_", "decoder layer_", "final norm")
    heads = ("pooler", "masked_lm", "next_sentence", "head", "output")
    names = (*layers, *heads, "loss", "optimizer", REST, NOTHING)
    place = next((i for i, name in enumerate(names) if row.startswith(name)), len(names))
    layer = re.match(r"(?:decoder )?layer_(\d+)", row)
    return place, int(layer[1]) if layer else 0, row

"""Counts and latencies of requests, in Prometheus' text form, under TensorFlow Serving's names.

:tensorflow:serving:request_count{model_name="demo",status="OK"} 3
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping

from serving.errors import ServingError

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY = ":tensorflow:serving:runtime_latency"
EXAMPLE_COUNT = ":tensorflow:serving:request_example_count_total"
EXAMPLE_COUNTS = ":tensorflow:serving:request_example_counts"
WARMUP_LATENCY = ":tensorflow:serving:model_warmup_latency"
LOAD_COUNT = ":tensorflow:cc:saved_model:load_attempt_count"
LOAD_LATENCY = ":tensorflow:cc:saved_model:load_latency"
CONTENT_TYPE = "text/plain"
DEFAULT_PATH = "/monitoring/prometheus/metrics"

# Microseconds: from 10, each 1.8 times the one before, as TensorFlow Serving's.
_LATENCY_BOUNDS = tuple(10 * 1.8**power for power in range(33))
_COUNT_BOUNDS = tuple(float(2**power) for power in range(15))
# Clients choose names of models: those beyond are not counted, and long ones are cut.
_MAX_SERIES = 10_000
_MAX_NAME_LENGTH = 256
_Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclasses.dataclass
class Asked:
    """What is known of a request so far."""

    model_name: str = ""
    api: str = ""


class Metrics:
    """What a server has counted since its start. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[_Labels, int]] = {}
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {}

    def count(self, name: str, number: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = tuple(labels.items())
        with self._lock:
            values = self._counters.setdefault(name, {})
            if key in values or len(values) < _MAX_SERIES:
                values[key] = values.get(key, 0) + number

    def value(self, name: str) -> int:
        """Of a counter by the name that TensorFlow has for it; 0 without one."""
        with self._lock:
            values = self._counters.get(name.replace("/", ":"), {})
            return next(iter(values.values()), 0)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Notes a latency in a histogram of microseconds."""
        self._observe(name, seconds * 1e6, _LATENCY_BOUNDS, labels)

    def observe(self, name: str, number: int, **labels: str) -> None:
        """Notes a number in a histogram of numbers."""
        self._observe(name, number, _COUNT_BOUNDS, labels)

    def _observe(
        self, name: str, value: float, bounds: tuple[float, ...], labels: Mapping[str, str]
    ) -> None:
        key = tuple(labels.items())
        with self._lock:
            histograms = self._histograms.setdefault(name, {})
            if key not in histograms and len(histograms) < _MAX_SERIES:
                histograms[key] = _Histogram(bounds)
            if key in histograms:
                histograms[key].add(value)

    @contextlib.contextmanager
    def watch(self, entrypoint: str, *, model_name: str = "", api: str = "") -> Iterator[Asked]:
        """Counts a request with the status that the block ends with, and times one that is OK.

        What the block learns of the request it puts into what it is given.
        """
        started_at, status = time.monotonic(), "OK"
        asked = Asked(model_name, api)
        try:
            yield asked
        except ServingError as error:
            status = error.code
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            name = asked.model_name[:_MAX_NAME_LENGTH]
            self.count(REQUEST_COUNT, model_name=name, status=status)
            if status == "OK":
                self.time(
                    REQUEST_LATENCY,
                    time.monotonic() - started_at,
                    model_name=name,
                    API=asked.api,
                    entrypoint=entrypoint,
                )

    def render(self) -> bytes:
        """All of it in Prometheus' text form."""
        lines = []
        with self._lock:
            for name, values in sorted(self._counters.items()):
                lines.append(f"# TYPE {name} counter")
                lines += [f"{name}{_braces(key)} {value}" for key, value in sorted(values.items())]
            for name, histograms in sorted(self._histograms.items()):
                lines.append(f"# TYPE {name} histogram")
                for key, histogram in sorted(histograms.items()):
                    lines += _histogram_lines(name, key, histogram)
        return ("\n".join(lines) + "\n").encode(errors="replace")


class ModelMetrics:
    """What the versions of one model add."""

    def __init__(self, metrics: Metrics, model_name: str) -> None:
        self._metrics = metrics
        self._model_name = model_name

    def note_run(self, api: str, seconds: float) -> None:
        """Notes how long the graph ran."""
        labels = {"model_name": self._model_name, "API": api, "runtime": "TF1"}
        self._metrics.time(RUNTIME_LATENCY, seconds, **labels)

    def note_examples(self, number: int) -> None:
        """Notes of how many examples a request is."""
        self._metrics.count(EXAMPLE_COUNT, number, model=self._model_name)
        self._metrics.observe(EXAMPLE_COUNTS, number, model=self._model_name)


def _histogram_lines(name: str, labels: _Labels, histogram: _Histogram) -> list[str]:
    lines, below = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        below += count
        text = "+Inf" if bound == float("inf") else f"{bound:g}"
        lines.append(f"{name}_bucket{_braces((*labels, ('le', text)))} {below}")
    lines.append(f"{name}_sum{_braces(labels)} {histogram.total:g}")
    lines.append(f"{name}_count{_braces(labels)} {below}")
    return lines


def _braces(labels: _Labels) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""Counts and latencies of requests, in Prometheus' text form, under TensorFlow Serving's names.

:tensorflow:serving:request_count{model_name="demo",status="OK"} 3
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

from serving.errors import ServingError

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
WARMUP_LATENCY = ":tensorflow:serving:model_warmup_latency"
LOAD_COUNT = ":tensorflow:cc:saved_model:load_attempt_count"
LOAD_LATENCY = ":tensorflow:cc:saved_model:load_latency"
CONTENT_TYPE = "text/plain"
DEFAULT_PATH = "/monitoring/prometheus/metrics"

# Microseconds: from 10, each 1.8 times the one before, as TensorFlow Serving's.
_BOUNDS = tuple(10 * 1.8**power for power in range(33))
_Labels = tuple[tuple[str, str], ...]


@dataclasses.dataclass
class _Histogram:
    counts: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    total: float = 0.0


class Metrics:
    """What a server has counted since its start. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[_Labels, int]] = {}
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {}

    def count(self, name: str, number: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            values = self._counters.setdefault(name, {})
            values[key] = values.get(key, 0) + number

    def value(self, name: str) -> int:
        """Of a counter by the name that TensorFlow has for it; 0 without one."""
        with self._lock:
            values = self._counters.get(name.replace("/", ":"), {})
            return next(iter(values.values()), 0)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Notes a latency in a histogram of microseconds."""
        key, micros = tuple(sorted(labels.items())), seconds * 1e6
        with self._lock:
            histogram = self._histograms.setdefault(name, {}).setdefault(key, _Histogram())
            histogram.counts[bisect.bisect_left(_BOUNDS, micros)] += 1
            histogram.total += micros

    @contextlib.contextmanager
    def watch(self, model_name: str, api: str, entrypoint: str) -> Iterator[None]:
        """Counts a request with the status that the block ends with, and times it."""
        started_at, status = time.monotonic(), "OK"
        try:
            yield
        except ServingError as error:
            status = error.code
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            self.count(REQUEST_COUNT, model_name=model_name, status=status)
            self.time(
                REQUEST_LATENCY,
                time.monotonic() - started_at,
                model_name=model_name,
                API=api,
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
        return ("\n".join(lines) + "\n").encode()


def _histogram_lines(name: str, labels: _Labels, histogram: _Histogram) -> list[str]:
    lines, below = [], 0
    for bound, count in zip((*_BOUNDS, float("inf")), histogram.counts, strict=True):
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

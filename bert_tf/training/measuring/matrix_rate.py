"""Measures what the devices of a run reach in one large matrix product, the 100 % of its MFU."""

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bert_tf.layers.projection import matmul

log = logging.getLogger(__name__)

SIZES = (512, 1024, 2048, 4096, 8192)
PRODUCTS_A_ROUND = 4  # one after another, so that starting them costs little
ENOUGH_SECONDS = 0.05
NUM_ROUNDS = 3


def matrix_rate(strategy: tf.distribute.Strategy, *, dtype: str) -> float:
    """Floating-point operations a second in products of square matrices of a type, in all.

    The devices multiply at the same time, as they do in training, where they may share cores. The
    matrices grow until a round takes 0.05 s, and the best of three rounds counts: in all a second
    or less. Measured once a process, and logged. Of other workers this one's rate is assumed.
    """
    devices = tuple(strategy.extended.worker_devices)
    return _measure(devices, dtype) * strategy.num_replicas_in_sync / len(devices)


@functools.cache
def _measure(devices: tuple[str, ...], dtype: str) -> float:
    multiply = _multiplier(devices, dtype)
    for size in SIZES:
        factors = _factors(devices, size, dtype)
        _time(multiply, factors)  # starts what has to be started
        seconds = _time(multiply, factors)
        if seconds >= ENOUGH_SECONDS:
            break
    seconds = min(seconds, *(_time(multiply, factors) for _ in range(NUM_ROUNDS - 1)))
    rate = len(devices) * PRODUCTS_A_ROUND * 2.0 * size**3 / seconds
    log.info(
        "Matrix rate: %.3g TFLOP/s in %s products of %d x %d on %d device(s).",
        rate / 1e12,
        dtype,
        size,
        size,
        len(devices),
    )
    return rate


def _multiplier(devices: Sequence[str], dtype: str) -> Callable[[Any], list[tf.Tensor]]:
    """A round of products on every device, as the layers compute them."""

    matrix = tf.TensorSpec([None, None], dtype)  # of any size: one graph

    @tf.function(autograph=False, input_signature=[[(matrix, matrix)] * len(devices)])
    def multiply(factors: Any) -> list[tf.Tensor]:
        corners = []
        for device, (x, y) in zip(devices, factors, strict=True):
            with tf.device(device):
                for _ in range(PRODUCTS_A_ROUND):
                    x = matmul(x, y)
                corners.append(x[0, 0])
        return corners

    return multiply


def _factors(devices: Sequence[str], size: int, dtype: str) -> list[tuple[tf.Tensor, tf.Tensor]]:
    def matrix(seed: int) -> tf.Tensor:
        values = tf.random.stateless_normal([size, size], [seed, 0]) / size**0.5
        return tf.cast(values, dtype)

    factors = []
    for device in devices:
        with tf.device(device):
            factors.append((matrix(0), matrix(1)))
    return factors


def _time(multiply: Callable[[Any], list[tf.Tensor]], factors: Any) -> float:
    started_at = time.perf_counter()
    for corner in multiply(factors):
        corner.numpy()  # waits for it
    return time.perf_counter() - started_at

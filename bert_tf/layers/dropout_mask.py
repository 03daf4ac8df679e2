"""Random bits for dropout that cost a few integer operations each and need no memory."""

import math
from typing import Any

from keras import ops


def dropout_mask(shape: Any, seed: Any, *, rate: float, scale: float) -> Any:
    """`scale` where a unit is kept and 0 where it is dropped, by chance `rate`; float32.

    A pure function of `seed`, int32 (2,), and the place of a unit in `shape`. A compiler puts it
    into the loop that uses it. The share dropped is exact to 2^-32.

    Two rounds of a 32-bit mixing function, one for each half of the seed. Source of the function:
    C. Wellons, "Prospecting for Hash Functions" (2018), lowbias32.
    """
    keys = ops.cast(seed, "uint32")
    # JAX must know the number when it compiles; TensorFlow may give a tensor for the whole shape.
    num_places = math.prod(shape) if isinstance(shape, tuple) else ops.prod(shape)
    places = ops.cast(ops.reshape(ops.arange(num_places, dtype="int32"), shape), "uint32")
    return ops.cast(is_kept(places, keys, rate=rate), "float32") * scale


def is_kept(places: Any, keys: Any, *, rate: float) -> Any:
    """Whether units are kept, by their flat places and the halves of the seed, all uint32."""
    bits = _mix(_mix(places ^ keys[0]) ^ keys[1])
    return bits >= _uint32(min(round(rate * 2**32), 2**32 - 1))


def _mix(bits: Any) -> Any:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ ops.right_shift(bits, _uint32(shift))) * _uint32(factor)
    return bits ^ ops.right_shift(bits, _uint32(16))


def _uint32(value: int) -> Any:
    return ops.convert_to_tensor(value, "uint32")

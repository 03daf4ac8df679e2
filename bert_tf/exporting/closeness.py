"""How far answers of one model may be apart: rounding differs with the shapes of a batch."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Closeness:
    """What counts as the same answer.

    Args:
        relative, absolute: of numbers, as `numpy.allclose` has them.
        of_largest: besides, a share of the largest number of the output.
        compares_texts: whether texts must be equal that numbers decide, such as a label.
    """

    relative: float = 1e-4
    absolute: float = 1e-5
    of_largest: float = 0.0
    compares_texts: bool = True

    def holds(self, expected: np.ndarray, received: np.ndarray, *, is_exact: bool = False) -> bool:
        """Whether they are the same; `is_exact`: no number that is rounded decides them."""
        if expected.shape != received.shape:
            return False
        if expected.dtype.kind in "OS":
            is_compared = self.compares_texts or is_exact
            return not is_compared or bool((expected.astype(bytes) == received).all())
        if expected.dtype.kind != "f":
            return bool((expected == received).all())
        finite = expected[np.isfinite(expected)]
        largest = float(np.abs(finite).max(initial=0.0))
        return np.allclose(
            expected,
            received,
            rtol=self.relative,
            atol=self.absolute + self.of_largest * largest,
            equal_nan=True,
        )


def relative_error(difference: np.ndarray, exact: np.ndarray) -> float:
    """Root mean square of a difference, by that of what is exact."""
    size, of_exact = (float(np.linalg.norm(x.astype(np.float64))) for x in (difference, exact))
    return size / (of_exact or 1.0)


EXACT = Closeness()
"""float32."""
ROUNDED = Closeness(of_largest=1 / 8, compares_texts=False)
"""bfloat16, which has 8 bits, and loses some in each product; where, is the processor's choice."""
QUANTIZED = Closeness(of_largest=1 / 2, compares_texts=False)
"""int8: a number between two steps is rounded to either by the least difference before."""
CLOSENESS = {"float32": EXACT, "bfloat16": ROUNDED, "int8": QUANTIZED}
"""By `export.precision`: of a row alone to itself in a batch."""

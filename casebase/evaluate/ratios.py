"""Division where the divisor may be zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def ratio(over: NDArray[np.generic], under: NDArray[np.generic], *, otherwise: float = np.nan) -> Values:
    """``over / under`` element by element, ``otherwise`` where ``under`` is not above zero or not a number."""
    right = np.asarray(under, np.float64)
    found: Values = np.full(np.broadcast(over, right).shape, otherwise, np.float64)
    np.divide(np.asarray(over, np.float64), right, out=found, where=right > 0)
    return found

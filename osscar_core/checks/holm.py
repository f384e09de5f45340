"""p-values of several tests at once.

The decision hidden here: Holm's method, which allows for every dependence between the tests.
It is written out because the function of `statsmodels` collects the garbage of the whole
process on every call, which takes longer than all else in a comparison of attributes.

Reference:
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6 (1979).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number: the i-th smallest of m times ``m - i + 1``.

    None is below that of a smaller p-value, and none above 1.

    Args:
        p_values: Of the tests, in any order.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw)
    corrected = np.empty_like(raw)
    steps = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    corrected[order] = np.minimum(steps, 1.0)
    return [float(p) for p in corrected]

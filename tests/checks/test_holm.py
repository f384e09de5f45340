from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from osscar_core.checks.holm import holm


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_it_is_the_library_s(count: int) -> None:
    rng = np.random.default_rng(count)
    p_values = np.round(rng.beta(0.4, 2, count), 2).tolist()  # with ties, and zeros
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_a_smaller_one_stays_smaller_and_none_exceeds_one() -> None:
    assert holm([0.9, 0.01, 0.03, 0.04]) == pytest.approx([0.9, 0.04, 0.09, 0.09])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []

"""A batch that leaves a GPU without a row is refused before the fit."""

from __future__ import annotations

import pytest

from fitfleet.errors import SpecError
from fitfleet.worker.engines.single_job.keras_fit import _check_parts


@pytest.mark.parametrize(("rows", "batch_size"), [(36, 16), (32, 16), (8, 8), (34, 16)])
def test_each_gpu_has_a_row(rows: int, batch_size: int) -> None:
    _check_parts(rows, batch_size, 2)


@pytest.mark.parametrize(("rows", "batch_size"), [(33, 16), (8, 1), (1, 16)])
def test_a_batch_that_is_too_small_is_named(rows: int, batch_size: int) -> None:
    with pytest.raises(SpecError, match="a batch of 1, of which not each of the 2 GPUs has a row"):
        _check_parts(rows, batch_size, 2)

"""The plan says where several GPUs are no gain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.rows import new_job

from fitfleet.settings import Settings
from fitfleet.sweeps.planning.gpu_gain import gpu_warnings


@pytest.mark.parametrize(
    ("batch_size", "parameters", "said"),
    [
        (32, 10_000, "a step of 10,000 weights and 32 rows is at most 0.0019 billion"),
        (1, 10**9, "a batch of 1 rows leaves GPUs without a row"),
        (256, 10**8, None),
        (32, None, None),
    ],
)
def test_a_small_model_is_warned_of(
    batch_size: int, parameters: int | None, said: str | None, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["x"], file["y"] = np.zeros((64, 8)), np.zeros((64, 1))
    row = new_job("a", gpus=2)
    dataset = row.spec.dataset.model_copy(update={"path": str(tmp_path / "rows.h5")})
    spec = row.spec.model_copy(update={"batch_size": batch_size, "dataset": dataset})
    row = replace(row, spec=spec, parameters=parameters)
    alone = replace(row, options=row.options.model_copy(update={"gpus": 1}))
    assert gpu_warnings([alone], Settings()) == []
    warnings = gpu_warnings([row, row], Settings())
    assert len(warnings) == (said is not None)
    if said is not None:
        assert said in warnings[0] and warnings[0].endswith("so it is with 1 more jobs")

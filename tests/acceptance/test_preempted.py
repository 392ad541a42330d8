"""A real fit makes way for a more urgent one, and ends as if it had never been interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fits import assert_equal, outcomes, small_job, until_checkpoint, write_series

import fitfleet as ff

EPOCHS = 120


@pytest.mark.slow
def test_a_preempted_fit_resumes_with_the_same_numbers(tmp_path: Path) -> None:
    series = write_series(tmp_path / "series.h5")
    job: dict[str, Any] = small_job(series, epochs=EPOCHS)
    times = {"heartbeat_s": 0.1, "recover_s": 0.2, "checkpoint_s": 0.0}
    with ff.local(1, tmp_path / "fleet", preempt_s=0.2, **times) as fleet:
        low = fleet.submit(**job, experiment="low")
        until_checkpoint(low)
        urgent = fleet.submit(**small_job(series, epochs=1), experiment="urgent", priority=5)
        urgent.wait(280)
        low.wait(280)
        assert outcomes(low) == ["released", "succeeded"]
        assert low.row.finished_at > urgent.row.finished_at
        straight = fleet.submit(**job, experiment="straight")
        straight.wait(280)
        assert outcomes(straight) == ["succeeded"]
        assert_equal(low, straight)

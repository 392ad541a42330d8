"""Which way a metric is better."""

from __future__ import annotations

import pytest

from fitfleet.analysis.direction import direction_of
from fitfleet.errors import FitfleetError


@pytest.mark.parametrize(
    "metric",
    ["loss", "val_loss", "test_loss", "mse", "val_mae", "mean_squared_error", "kl_divergence"],
)
def test_losses_and_errors_are_minimized(metric: str) -> None:
    assert direction_of(metric) == "minimize"


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "val_acc", "sparse_top_k_categorical_accuracy", "auc", "cosine_similarity", "r2"],
)
def test_accuracies_are_maximized(metric: str) -> None:
    assert direction_of(metric) == "maximize"


def test_a_name_that_tells_nothing_asks_for_the_direction() -> None:
    with pytest.raises(FitfleetError, match=r"in_scale: .*say direction="):
        direction_of("in_scale")
    assert direction_of("in_scale", "maximize") == "maximize"


def test_a_direction_misspelt_is_refused() -> None:
    with pytest.raises(FitfleetError, match="'minimise' is neither"):
        direction_of("loss", "minimise")

"""A short part of the matrix of equality: what rides on a tensor reaches losses and metrics."""

from __future__ import annotations

import branches
import heads
import matrix
import pytest

LAYERS = {b.name: b for b in branches.layer_branches(masked=True)}
LOSSES = {b.name: b for b in heads.loss_branches("steps masked, steps weighted")}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_masks_and_weights_of_steps_reach_losses_and_metrics() -> None:
    """A mask hangs on a tensor; an engine that makes another tensor has to hand it on."""
    several = [
        LAYERS["layer LSTM"],
        LOSSES["loss SparseCategoricalCrossentropy"],
    ]
    for branch in several:
        branch.metrics = ["accuracy"]
    pairs = matrix.measure("short", several, {})
    assert len(pairs) == 4
    for pair in pairs:
        assert pair.verdict in ("bits", "float64"), pair


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["layer residual", "loss Dice", "loss LogCosh"])
def test_a_step_of_the_loop_is_a_step_of_fit(name: str) -> None:
    """Inside a loop of TensorFlow's, sums of attention are rewritten otherwise than outside.

    So are weighted losses where a step's function takes its rows itself, or drops its logs.
    """
    branch = (LAYERS | LOSSES)[name]
    net = branches.net([branch])
    (pair,) = matrix.pairs("short", [branch], net, "loop")
    assert pair.verdict == "bits", pair

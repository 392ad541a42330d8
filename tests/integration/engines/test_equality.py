"""A short part of the matrix of equality: what rides on a tensor reaches losses and metrics."""

from __future__ import annotations

from dataclasses import replace

import branches
import heads
import matrix
import pytest

LAYERS = {b.name: b for b in branches.layer_branches(masked=True)}
LOSSES = {b.name: b for b in heads.loss_branches("steps masked, steps weighted")}
SATURATED = {b.name: b for b in heads.loss_branches("rows, saturated")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_masks_weights_and_logits_of_steps_reach_losses_and_metrics() -> None:
    """They hang on a tensor; an engine that makes another tensor has to hand them on.

    Crossentropies are taken of the logits behind probabilities, which are 0 or 1 where saturated.
    """
    several = [
        LAYERS["layer LSTM"],
        LOSSES["loss SparseCategoricalCrossentropy"],
        SATURATED["loss SparseCategoricalCrossentropy"],
    ]
    for branch in several[:2]:
        branch.metrics = ["accuracy"]
    pairs = matrix.measure("short", several, {})
    assert len(pairs) == 6
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


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_mask_that_attention_takes_off_its_input_is_gone_in_a_stack_too() -> None:
    """`MultiHeadAttention` removes the masks of its inputs, so that the sum has none."""
    branch = LAYERS["layer residual Add"]
    (pair,) = matrix.pairs("short", [branch], branches.net([branch]), "fused")
    assert pair.verdict in ("bits", "float64"), pair


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_numbers_that_are_not_finite_show_nothing() -> None:
    """The mean over the steps of a row that is masked in full is 0 / 0."""
    branch = replace(LAYERS["layer GlobalAveragePooling1D"], source="series")
    (pair,) = matrix.pairs("short", [branch], branches.net([branch]), "loop")
    assert pair.verdict == "not" and "not finite" in pair.reason

"""The epoch program computes what Keras's fit computes, bit for bit, job after job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import ledger
import nets
import pytest

from fitfleet.worker.engines.keras_fit import KerasFit
from fitfleet.worker.engines.loop import LoopFit

SEEDS = (3, 4)


def specs(net: nets.Net, **given: Any) -> list[Any]:
    """One spec a seed, with learning rates, dropout rates and regularization of their own."""
    model = net.build()
    arguments = {"epochs": 3, "batch_size": 16, **net.given, **given}
    found = [ledger.spec(model, seed=seed, **arguments) for seed in SEEDS]
    for index, one in enumerate(found):
        config = one.optimizer["config"]
        if isinstance(config["learning_rate"], float):
            config["learning_rate"] *= 1 + index
        found[index] = ledger.scaled(one, 1 - 0.3 * index)
    return found


def members(net: nets.Net, found: list[Any]) -> list[Any]:
    return [ledger.member(one, net.arrays, number) for number, one in enumerate(found)]


@pytest.mark.parametrize("name", nets.ALL)
def test_loop_equals_fit(name: str) -> None:
    """History, weights, optimizer and RNN states of two jobs; the model is traced once."""
    net = nets.ALL[name]()
    found = specs(net)
    alone = ledger.train(KerasFit(ledger.SETTINGS), members(net, found))
    looped = ledger.train(LoopFit(ledger.SETTINGS), members(net, found))
    ledger.assert_same(alone, looped)


def test_a_rate_that_is_no_variable_stays_as_it_is() -> None:
    """GaussianDropout's is a constant of the program, whatever other rates the model has."""
    net = nets.ALL["mlp"]()
    layers = keras.layers
    net.build = lambda: keras.Sequential(
        [
            keras.Input(net.arrays.x.shape[1:]),
            layers.GaussianDropout(0.25),
            layers.Dense(8),
            layers.Dropout(0.3),
            layers.Dense(net.arrays.y.shape[-1], activation="softmax"),
        ]
    )
    found = specs(net)
    alone = ledger.train(KerasFit(ledger.SETTINGS), members(net, found))
    looped = ledger.train(LoopFit(ledger.SETTINGS), members(net, found))
    ledger.assert_same(alone, looped)


@pytest.mark.parametrize("name", ["mlp", "stateful_kept", "callbacks"])
def test_a_checkpoint_of_one_way_goes_on_by_the_other(name: str, tmp_path: Path) -> None:
    net = nets.ALL[name]()
    found = specs(net)[:2]
    whole = ledger.train(KerasFit(ledger.SETTINGS), members(net, found))
    ways = [KerasFit(ledger.SETTINGS), LoopFit(ledger.SETTINGS)]
    for first, second in (ways, ways[::-1]):
        folder = tmp_path / first.name
        folder.mkdir()
        broken = ledger.Ledger(folder, {0: 1, 1: 2})
        ledger.train(first, members(net, found), broken)
        again = [
            ledger.resumed(one, net.arrays, number, broken.snapshots[number])
            for number, one in enumerate(found)
        ]
        rest = ledger.train(second, again)
        for number in rest.logs:
            rest.logs[number] = broken.logs[number] + rest.logs[number]
        ledger.assert_same(whole, rest)

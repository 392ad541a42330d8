"""Which engine trains which members, and what the row says about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ledger
import nets
import pytest

from fitfleet.data.arrays import Arrays
from fitfleet.settings import Settings
from fitfleet.worker.engines.choice import Engines
from fitfleet.worker.engines.engine import Member


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=str(tmp_path))


def cohort(net: nets.Net, count: int, fuse: Any = "auto", **given: Any) -> list[Member]:
    arguments = {"epochs": 2, "batch_size": 16, **net.given, **given}
    model = net.build()
    return [
        ledger.member(ledger.spec(model, seed=seed, **arguments), net.arrays, seed, fuse=fuse)
        for seed in range(count)
    ]


def run(engines: Engines, members: list[Member]) -> tuple[list[tuple[str, int]], ledger.Ledger]:
    found = ledger.Ledger()
    ways = []
    for engine, group in engines.choose(members):
        ways.append((engine.name, len(group)))
        engine.fit(group, found)
    for error in found.errors.values():
        raise error
    assert found.weights.keys() == {m.claim.job_id for m in members}
    return ways, found


def test_a_single_job_is_looped(settings: Settings) -> None:
    (member,) = members = cohort(nets.stacked_lstm(), 1)
    assert run(Engines(settings), members)[0] == [("loop", 1)]
    assert "fewer" in member.engine_reason


def test_a_cohort_of_lstms_is_fused_and_its_speed_kept(settings: Settings) -> None:
    """So is a rest of few, once the stack is traced."""
    members, engines = cohort(nets.stacked_lstm(), 8), Engines(settings)
    assert run(engines, members)[0] == [("fused", 8)]
    assert "not measured yet" in members[0].engine_reason
    assert (Path(settings.cache) / "speeds.json").exists()
    assert run(engines, cohort(nets.stacked_lstm(), 2))[0] == [("fused", 2)]


def test_fuse_false_is_looped(settings: Settings) -> None:
    members = cohort(nets.stacked_lstm(), 8, fuse=False)
    ways, _ = run(Engines(settings), members)
    assert {name for name, _ in ways} == {"loop"}
    assert members[0].engine_reason == "not fused: fuse=False"


def test_short_work_is_looped_after_one_was_measured(settings: Settings) -> None:
    """Two epochs of a small net take less than a trace of the stack."""
    members = cohort(nets.mlp(), 8)
    assert run(Engines(settings), members)[0] == [("loop", 1), ("loop", 7)]
    assert "s an epoch looped" in members[-1].engine_reason


def test_what_is_not_proven_in_a_stack_is_looped(settings: Settings) -> None:
    members = cohort(nets.convolutional_recurrent(), 8)
    engine, group = next(Engines(settings).choose(members))
    assert engine.name == "loop"
    assert group[0].engine_reason == "not fused: ConvLSTM1D is not proven in a stack"


def test_what_cannot_be_traced_in_a_stack_is_looped(settings: Settings) -> None:
    """The sparse gradients of a table that is used twice have no form in a stack."""
    members = cohort(nets.shared_embedding(), 8, epochs=20_000)
    engines = Engines(settings)
    chosen = engines.choose(members)
    engine, group = next(chosen)
    engine.fit(cohort(nets.shared_embedding(), 1), ledger.Ledger())
    engine, group = next(chosen)
    assert (engine.name, len(group)) == ("loop", 7)
    assert group[0].engine_reason.startswith("cannot be fused: the embedding ")


def test_streams_and_settings_of_fit_stay_with_fit(settings: Settings) -> None:
    net = nets.mlp()
    members = cohort(net, 1, jit_compile=True)
    (engine, group) = next(Engines(settings).choose(members))
    assert engine.name == "fit" and group[0].engine_reason == "jit_compile=True"
    small = settings.replace(memory_bytes=10)
    (engine, _) = next(Engines(small).choose(cohort(net, 1)))
    assert engine.name == "fit"
    assert isinstance(net.arrays, Arrays)

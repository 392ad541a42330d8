"""Which engine trains which jobs of a cohort, and what the row says about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import branches
import keras
import ledger
import nets
import pytest

from fitfleet.data.arrays import Arrays
from fitfleet.settings import Settings
from fitfleet.worker.engines.choice import Engines
from fitfleet.worker.engines.fusible import has_stacked_form, unfusable
from fitfleet.worker.engines.programs.functions import Functions
from fitfleet.worker.engines.speeds import EpochTimer, Speeds
from fitfleet.worker.prepared_job import PreparedJob


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=str(tmp_path), programs=str(tmp_path / "user" / "programs"))


def cohort(net: nets.Net, count: int, fuse: Any = "auto", **given: Any) -> list[PreparedJob]:
    arguments = {"epochs": 2, "batch_size": 16, **net.given, **given}
    model = net.build()
    return [
        ledger.prepared(ledger.spec(model, seed=seed, **arguments), net.arrays, seed, fuse=fuse)
        for seed in range(count)
    ]


def run(engines: Engines, jobs: list[PreparedJob]) -> tuple[list[tuple[str, int]], ledger.Ledger]:
    trained = ledger.Ledger()
    for choice in engines.choose(jobs):
        ledger.run(choice, trained)
    for error in trained.errors.values():
        raise error
    assert trained.weights.keys() == {job.claim.job_id for job in jobs}
    return [(name, len(reasons)) for name, reasons in trained.engines], trained


def reasons(trained: ledger.Ledger) -> list[str]:
    """Of all jobs, in the order in which they were trained."""
    return [reason for _, each in trained.engines for reason in each]


def test_a_single_job_is_looped(settings: Settings) -> None:
    cohorts, trained = run(Engines(settings), cohort(nets.stacked_lstm(), 1))
    assert cohorts == [("loop", 1)]
    assert reasons(trained)[0] == "trained alone"


def test_a_cohort_of_lstms_is_fused_and_its_speed_kept(settings: Settings) -> None:
    """So is a rest of few, once the stack is traced."""
    engines = Engines(settings)
    cohorts, trained = run(engines, cohort(nets.stacked_lstm(), 8))
    assert cohorts == [("fused", 8)]
    assert "not measured yet" in reasons(trained)[0]
    assert (Path(settings.programs).parent / "speeds.json").exists()
    assert run(engines, cohort(nets.stacked_lstm(), 2))[0] == [("fused", 2)]


@pytest.mark.slow
def test_two_jobs_are_fused_by_a_child_that_finds_the_program_on_the_disk(
    settings: Settings,
) -> None:
    run(Engines(settings), cohort(nets.stacked_lstm(), 8))
    cohorts, _ = run(Engines(settings), cohort(nets.stacked_lstm(), 2))
    assert cohorts == [("fused", 2)]
    elsewhere = settings.replace(programs=str(Path(settings.cache) / "another" / "programs"))
    assert run(Engines(elsewhere), cohort(nets.stacked_lstm(), 2))[0] == [("loop", 2)]


def test_what_a_program_costs_is_measured_or_estimated(tmp_path: Path) -> None:
    a, b = ("a", None), ("b", None)
    speeds, timer, functions = Speeds(tmp_path), EpochTimer(), Functions()
    assert speeds.once_s(a, "fused", 4, can_read=True) == 4 * 0.5
    for seconds in (5.0, 1.0, 0.8):
        timer.add(seconds, 2)
    functions.made_s = 1.0
    speeds.add(a, "fused", timer, functions, 4)
    other = Speeds(tmp_path)  # of another child
    assert other.get("a", "fused") == 0.4
    assert other.once_s(a, "fused", 4, can_read=True) == pytest.approx(1.0 + 5.0 - 0.8)
    assert other.once_s(b, "fused", 2, can_read=True) == pytest.approx(5.2 / 2)
    functions.are_kept = True
    other.add(a, "fused", timer, functions, 4)
    assert other.once_s(a, "fused", 4, can_read=True) == pytest.approx(4 * 0.5 * 0.3)
    assert other.once_s(a, "fused", 4, can_read=False) == pytest.approx(5.2)


def test_models_that_gain_from_a_stack_need_no_measurement() -> None:
    known = ("stacked_lstm", "embedding_lstm", "convolution", "mlp")
    specs = [cohort(nets.ALL[name](), 1)[0].spec for name in known]
    assert [has_stacked_form(spec) for spec in specs] == [True, True, True, False]


def test_fuse_false_is_looped(settings: Settings) -> None:
    cohorts, trained = run(Engines(settings), cohort(nets.stacked_lstm(), 8, fuse=False))
    assert {name for name, _ in cohorts} == {"loop"}
    assert reasons(trained)[0] == "not fused: fuse=False"


def test_short_work_is_looped_after_one_was_measured(settings: Settings) -> None:
    """Two epochs of a small net take less than a trace of the stack."""
    cohorts, trained = run(Engines(settings), cohort(nets.mlp(), 8))
    assert cohorts == [("loop", 1), ("loop", 7)]
    assert " looped; in all " in reasons(trained)[-1]


def test_a_trace_is_made_once_cohorts_have_lost_what_it_costs(settings: Settings) -> None:
    """None of them is worth it alone, and nobody knows how many will come."""
    jobs = cohort(nets.mlp(), 8)  # of 16 epochs together
    first = Engines(settings)
    key = first._fused.key(jobs[0])
    first._speeds.record(key, loop=0.1, loop_traced=0.0, fused=0.05, fused_traced=2.0, layers=2.0)
    assert next(first.choose(jobs)).engine.name == "loop"  # 0.8 s lost
    second = Engines(settings)  # of another child, which finds the records
    assert next(second.choose(jobs)).engine.name == "loop"
    chosen = next(second.choose(jobs))
    assert chosen.engine.name == "fused"
    assert "in all 2.8 and 1.6 s expected" in chosen.reasons[0]
    assert second._speeds.missed_s((key, None), "fused") == 0.0


@pytest.mark.parametrize("name", ["Masking", "residual", "op /"])
def test_masks_attention_and_operations_have_been_proven_in_a_stack(name: str) -> None:
    """The mask of a Masking layer is an operation of a functional model."""
    several = {branch.name: branch for branch in branches.layer_branches(masked=True)}
    (job,) = cohort(branches.net([several[f"layer {name}"]]), 1)
    assert unfusable(job) is None


def test_what_is_not_proven_in_a_stack_is_looped(settings: Settings) -> None:
    jobs = cohort(nets.convolutional_recurrent(), 8)
    choice = next(Engines(settings).choose(jobs))
    assert choice.engine.name == "loop"
    assert choice.reasons[0] == "not fused: ConvLSTM1D has not been compared with Keras in a stack"


def test_what_cannot_be_traced_in_a_stack_is_looped(settings: Settings) -> None:
    """The sparse gradients of a table that is used twice have no form in a stack."""
    (choice,) = Engines(settings).choose(cohort(nets.shared_embedding(), 8))
    assert (choice.engine.name, len(choice.jobs)) == ("loop", 8)
    assert choice.reasons[0].startswith("cannot be fused: the embedding ")


@keras.saving.register_keras_serializable(package="test_choice")
class OwnSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """As a user may write one."""


@pytest.mark.parametrize("optimizer", ["ScheduleFreeAdamW", OwnSGD()])
def test_an_optimizer_that_may_begin_with_the_weights_stays_with_fit(
    optimizer: Any, settings: Settings
) -> None:
    """A traced program would start the next job with the weights of the one before."""
    choice = next(Engines(settings).choose(cohort(nets.mlp(), 1, optimizer=optimizer)))
    assert choice.engine.name == "fit"
    assert choice.reasons[0].endswith("from the job's weights")


def test_streams_and_settings_of_fit_stay_with_fit(settings: Settings) -> None:
    net = nets.mlp()
    choice = next(Engines(settings).choose(cohort(net, 1, jit_compile=True)))
    assert choice.engine.name == "fit" and choice.reasons[0] == "jit_compile=True"
    small = settings.replace(memory_bytes=10)
    assert next(Engines(small).choose(cohort(net, 1))).engine.name == "fit"
    assert isinstance(net.arrays, Arrays)

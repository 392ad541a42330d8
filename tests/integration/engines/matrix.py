"""The matrix of equality: each engine against Keras's own `fit`, pair by pair.

    python tests/integration/engines/matrix.py [--missing] [part ...]       (make matrix)

measures every pair, or those whose group's name holds a part, or only those that equality.csv does
not have yet. Each is kept there as soon as it is measured; docs/reference/equality.md is written
from that, and test_proven.py holds worker/engines/proven.py to it.
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import branches
import heads
import keras
import ledger
import nets
import numpy as np
from branches import Branch

from fitfleet.worker.engines import proven
from fitfleet.worker.engines.fused import FusedFit
from fitfleet.worker.engines.fusible import unstackable
from fitfleet.worker.engines.keras_fit import KerasFit
from fitfleet.worker.engines.loop import LoopFit

SEEDS = (3, 4)
FLOAT64 = 1e-10
_A_MODEL = 6  # branches in one; more take longer to trace together than apart
_A_PROCESS = 3  # models in one: TensorFlow keeps every graph that it has traced
FOUND = Path(__file__).with_name("equality.csv")


@dataclass(frozen=True)
class Pair:
    """A branch by an engine against `fit`: the largest difference of its numbers, or why not.

    `distance` is relative to the largest number of a variable, and of histories to themselves.
    `parts` are the classes of the branch, as proven.py names them: "layers:Dense losses:Huber".
    """

    group: str
    name: str
    engine: str
    distance: float | None
    reason: str = ""
    parts: str = ""

    @property
    def verdict(self) -> str:
        """bits, float64, other, or not."""
        if self.distance is None:
            return "not"
        if self.distance == 0:
            return "bits"
        return "float64" if self.engine == "fused" and self.distance <= FLOAT64 else "other"


@dataclass(frozen=True)
class Group:
    """Branches under one condition."""

    name: str
    branches: Sequence[Branch]
    given: dict[str, Any]


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.05},
    "SGD nesterov": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"learning_rate": 0.01, "momentum": 0.5},
    "Adam": {"learning_rate": 0.01},
    "Adam amsgrad": {"learning_rate": 0.01, "amsgrad": True},
    "Adam clipnorm": {"learning_rate": 0.01, "clipnorm": 0.05},
    "Adam clipvalue": {"learning_rate": 0.01, "clipvalue": 0.01},
    "Adam global_clipnorm": {"learning_rate": 0.01, "global_clipnorm": 0.05},
    "AdamW": {"learning_rate": 0.01, "weight_decay": 0.1},
    "Adadelta": {"learning_rate": 0.5},
    "Adagrad": {"learning_rate": 0.05},
    "Adamax": {"learning_rate": 0.01},
    "Nadam": {"learning_rate": 0.01},
    "Ftrl": {"learning_rate": 0.05},
    "Lion": {"learning_rate": 0.001},
    "Adafactor": {"learning_rate": 0.01},
    "Lamb": {"learning_rate": 0.01},
    "Muon": {"learning_rate": 0.01},
    "ScheduleFreeAdamW": {"learning_rate": 0.01},
    **{
        f"Adam {schedule}": {
            "learning_rate": {
                "class_name": schedule,
                "module": "keras.optimizers.schedules",
                "config": config,
            }
        }
        for schedule, config in {
            "CosineDecay": {"initial_learning_rate": 0.01, "decay_steps": 5},
            "CosineDecayRestarts": {"initial_learning_rate": 0.01, "first_decay_steps": 3},
            "ExponentialDecay": {
                "initial_learning_rate": 0.01,
                "decay_steps": 3,
                "decay_rate": 0.9,
            },
            "InverseTimeDecay": {
                "initial_learning_rate": 0.01,
                "decay_steps": 3,
                "decay_rate": 0.9,
            },
            "PiecewiseConstantDecay": {"boundaries": [2, 4], "values": [0.01, 0.005, 0.001]},
            "PolynomialDecay": {"initial_learning_rate": 0.01, "decay_steps": 4},
        }.items()
    },
}


def groups() -> Iterator[Group]:
    """All of the matrix."""
    for masked in (False, True):
        name = "layers, masked, steps weighted" if masked else "layers"
        yield Group(name, branches.layer_branches(masked=masked), {})
    yield Group("embeddings", branches.embedding_branches(), {"optimizer": "adam"})
    yield Group("activations", heads.activation_branches(), {})
    for condition in heads.CONDITIONS:
        yield Group(f"losses, {condition}", heads.loss_branches(condition), {})
        yield Group(f"metrics, {condition}", heads.metric_branches(condition), {})
    for condition in ("rows", "rows, masked inside"):
        for kind, several in (
            ("losses", heads.loss_branches(condition)),
            ("metrics", heads.metric_branches(condition)),
        ):
            name = f"{kind}, {condition}, class weights"
            yield Group(name, heads.classified(several), heads.CLASS_WEIGHTS)
    for name, config in OPTIMIZERS.items():
        optimizer = {name.split()[0]: config}
        yield Group("optimizers", [_mixed(name)], {"optimizer": optimizer})


def _mixed(name: str) -> Branch:
    """Sparse gradients of a table and dense ones of matrices and vectors, under a mask."""

    def build(words: Any) -> Any:
        hidden = keras.layers.Embedding(9, 4, mask_zero=True)(words)
        return branches.rows_or_steps(keras.layers.LSTM(3, return_sequences=True)(hidden))

    return Branch(f"optimizer {name}", "words", build)


def measure(
    group: str,
    several: Sequence[Branch],
    given: dict[str, Any],
    engines: Sequence[str] = ("loop", "fused"),
) -> list[Pair]:
    """These engines on these branches in one model; each branch alone where the model fails."""
    net = branches.net(several, **given)
    measured = []
    for engine in engines:
        try:
            measured += pairs(group, several, net, engine)
        except Exception as error:  # Keras and TensorFlow raise many kinds
            if len(several) > 1:
                for branch in several:
                    measured += measure(group, [branch], given, (engine,))
            else:
                reason = " ".join(str(error).split())[:120] or type(error).__name__
                measured.append(Pair(group, several[0].name, engine, None, reason))
    return measured


def pairs(group: str, several: Sequence[Branch], net: nets.Net, engine: str) -> list[Pair]:
    """Each branch of a model by an engine against `fit`, float32 to the bit, float64 for fused."""
    policy = "float64" if engine == "fused" else None
    jobs = _jobs(net, policy, 2 if engine == "fused" else 1)
    chosen = FusedFit(ledger.SETTINGS) if engine == "fused" else LoopFit(ledger.SETTINGS)
    reason = _why_not(chosen, jobs[0])
    if reason and len(several) > 1:
        raise ValueError(reason)
    if reason:
        return [Pair(group, several[0].name, engine, None, reason[:120])]
    tried = ledger.train(chosen, jobs)
    last = len(jobs) - 1
    alone = ledger.train(KerasFit(ledger.SETTINGS), [_jobs(net, policy, last + 1)[last]])
    for error in (*alone.errors.values(), *tried.errors.values()):
        raise error
    distances = _distances(net, jobs[last], tried, alone, last, len(several))
    return [
        Pair(group, branch.name, engine, distance)
        for branch, distance in zip(several, distances, strict=True)
    ]


def _why_not(engine: FusedFit | LoopFit, job: Any) -> str | None:
    """Why such a job is never trained so."""
    if not proven.is_started_alike(job.spec):
        return "the optimizer begins with the job's weights"
    if isinstance(engine, LoopFit):
        return None
    return unstackable(job.spec) or engine.trace(job)


def _jobs(net: nets.Net, policy: str | None, count: int) -> list[Any]:
    given = {"epochs": 2, "batch_size": 8, "dtype_policy": policy, **net.given}
    spec = ledger.spec(net.build(), **given)
    return [
        ledger.prepared(spec.model_copy(update={"seed": seed}), net.arrays, number)
        for number, seed in enumerate(SEEDS[:count])
    ]


def _distances(
    net: nets.Net, job: Any, tried: Any, alone: Any, number: int, count: int
) -> list[float]:
    """The largest difference of each branch, in its weights, optimizer and history."""
    owners = _owners(net, count)
    distances = [0.0] * count
    weights = zip(tried.weights[number], alone.weights[number], strict=True)
    for index, (left, right) in enumerate(weights):
        place = owners[index]
        distances[place] = max(distances[place], _distance(left, right))
    # An optimizer's slots follow from gradients, as the weights do; alone they need no owner.
    if count == 1:
        slots = zip(tried.optimizer[number], alone.optimizer[number], strict=True)
        distances[0] = max([distances[0], *(_distance(left, right) for left, right in slots)])
    for (_, logs), (_, others) in zip(tried.logs[number], alone.logs[number], strict=True):
        assert logs.keys() == others.keys()
        for name in logs:
            place = _place(name, count)
            if place is not None:
                distances[place] = max(distances[place], _distance(logs[name], others[name]))
    return distances


def _place(name: str, count: int) -> int | None:
    """The branch that a metric belongs to; the sum of all losses belongs to none of several."""
    if count == 1:
        return 0
    part = name.removeprefix("val_").partition("_")[0]
    return int(part[1:]) if part[1:].isdigit() else None


def _owners(net: nets.Net, count: int) -> list[int]:
    """For each variable of the model the branch whose output depends on it."""
    model = net.build()
    places = {}
    for place in range(count):
        outputs = model.output
        output = outputs[f"b{place}"] if isinstance(outputs, dict) else outputs
        part = keras.Model(model.inputs, output)
        for variable in part.variables:
            places[id(variable)] = place
    return [places[id(variable)] for variable in model.variables]


def _distance(left: Any, right: Any) -> float:
    left, right = np.asarray(left, "float64"), np.asarray(right, "float64")
    if np.array_equal(left, right, equal_nan=True):
        return 0.0
    distance = float(np.abs(left - right).max() / max(1.0, float(np.abs(right).max())))
    return distance if math.isfinite(distance) else math.inf


def models(group: Group) -> Iterator[list[Branch]]:
    """The branches that are trained in one model; class weights go with one output only."""
    size = 1 if "class_weight" in group.given else _A_MODEL
    for start in range(0, len(group.branches), size):
        yield list(group.branches[start : start + size])


def work(name: str) -> list[tuple[dict[str, Any], list[Branch]]]:
    """(arguments, branches) of every model of the groups of one name."""
    return [
        (group.given, several)
        for group in groups()
        if group.name == name
        for several in models(group)
    ]


def some(name: str, first: int, last: int) -> list[Pair]:
    """The pairs of some models of a name, by both engines."""
    warnings.simplefilter("ignore")
    measured = []
    for given, several in work(name)[first:last]:
        for pair in measure(name, several, given):
            branch = next(b for b in several if b.name == pair.name)
            alone = singles(branch) if pair.distance is None else []
            again = [p for part in alone for p in measure(name, [part], given, (pair.engine,))]
            for result in again or [pair]:
                measured_branch = next(b for b in [branch, *alone] if b.name == result.name)
                measured.append(replace(result, parts=_parts(measured_branch, given)))
    return measured


def singles(branch: Branch) -> list[Branch]:
    """One for each of its metrics, where one of them may have kept the others from training."""
    if len(branch.metrics) < 2:
        return []
    return [
        replace(branch, name=f"metric {metric['class_name']}", metrics=[metric])
        for metric in branch.metrics
    ]


def _parts(branch: Branch, given: dict[str, Any]) -> str:
    try:
        net = branches.net([branch], **given)
        spec = ledger.spec(net.build(), **net.given)
    except Exception:  # Keras has no such model; the pair says why
        return ""
    return " ".join(sorted({f"{kind}:{name}" for kind, name in proven.parts(spec)}))


def _names(branch: Branch) -> set[str]:
    return {branch.name, *(single.name for single in singles(branch))}


def read() -> list[Pair]:
    """All that has been measured."""
    if not FOUND.exists():
        return []
    with FOUND.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [Pair(**{**row, "distance": _number(row["distance"])}) for row in rows]


def _number(text: str) -> float | None:
    return float(text) if text else None


def write(measured: Sequence[Pair]) -> None:
    """In the order of the groups, so that a new run changes what has changed."""
    order = {group.name: place for place, group in enumerate(groups())}
    ordered = sorted(measured, key=lambda p: (order.get(p.group, -1), p.name, p.engine))
    with FOUND.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Pair)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(pair) for pair in ordered)


def main(parts: Sequence[str]) -> None:
    """Measure, keep what was measured, and write the page."""
    import equality_page

    is_missing = "--missing" in parts
    parts = [part for part in parts if part != "--missing"]
    for name in dict.fromkeys(group.name for group in groups()):
        if parts and not any(part in name for part in parts):
            continue
        every = [several for _, several in work(name)]
        for first in range(0, len(every), _A_PROCESS):
            wanted = [b for several in every[first : first + _A_PROCESS] for b in several]
            known = {pair.name for pair in read() if pair.group == name}
            if is_missing and all(_names(branch) & known for branch in wanted):
                continue
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                measured = pool.submit(some, name, first, first + _A_PROCESS).result()
            for pair in measured:
                print(pair, flush=True)
            new = {measured_name for branch in wanted for measured_name in _names(branch)}
            write([p for p in read() if p.group != name or p.name not in new] + measured)
    equality_page.write(read())


if __name__ == "__main__":
    main(sys.argv[1:])

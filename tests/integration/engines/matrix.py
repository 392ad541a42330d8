"""The matrix of equality: each engine against Keras's own `fit`, pair by pair.

    python tests/integration/engines/matrix.py [--missing] [part ...]       (make matrix)

measures every pair, or those whose group's name holds a part, or only those that equality.csv does
not have yet. Each is kept there as soon as it is measured; docs/reference/equality.md is written
from that, and test_proven.py holds worker/engines/proven_classes.py to it.
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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

from fitfleet.worker.engines import proven_classes
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.fusible import unstackable
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.recording.error_text import explanation

SEEDS = (3, 4)
FLOAT64 = 1e-10
_A_MODEL = 6  # branches in one; more take longer to trace together than apart
_A_PROCESS = 18  # branches in one; its start costs as much as half of them
_A_REASON = 160  # characters
_KERAS = "Keras itself: "
_NOT_FINITE = "its numbers by `fit` are not finite, which shows nothing"
ENGINES = ("loop", "fused")
FOUND = Path(__file__).with_name("equality.csv")


@dataclass(frozen=True)
class Pair:
    """A branch by an engine against `fit`: the largest difference of its numbers, or why not.

    `distance` is relative to the largest number of a variable, and of histories to themselves.
    `parts` are the classes of the branch as in proven_classes.py: "layers:Dense losses:Huber".
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
    engines: Sequence[str] = ENGINES,
) -> list[Pair]:
    """These engines on these branches in one model, without those that it fails with."""
    measured: list[Pair] = []
    for engine in engines:
        refused = {pair.name for pair in measured if pair.reason.startswith(_KERAS)}
        measured += [
            replace(pair, engine=engine) for pair in measured if pair.name in refused
        ]  # in float32 Keras itself does not train it: no engine needs to be tried
        left = [branch for branch in several if branch.name not in refused]
        measured += _by(engine, group, left, given) if left else []
    return measured


def _by(engine: str, group: str, several: Sequence[Branch], given: dict[str, Any]) -> list[Pair]:
    """By one engine; where the model fails, by halves, until it is known which branches fail."""
    try:
        return pairs(group, several, branches.net(several, **given), engine)
    except Exception as error:  # Keras and TensorFlow raise many kinds
        half = len(several) // 2
        if half:
            parts = (several[:half], several[half:])
            return [pair for part in parts for pair in _by(engine, group, part, given)]
        return [Pair(group, several[0].name, engine, None, _short(explanation(error)))]


def pairs(group: str, several: Sequence[Branch], net: nets.Net, engine: str) -> list[Pair]:
    """Each branch of a model by an engine against `fit`, float32 to the bit, float64 for fused.

    Raises ValueError with the reason where Keras itself or the engine doesn't train the model.
    """
    is_fused = engine == "fused"
    policy, last = ("float64", 1) if is_fused else (None, 0)
    jobs, fit = _jobs(net, policy, last + 1), KerasFit(ledger.SETTINGS)
    settings = ledger.SETTINGS
    chosen = FusedFit(settings) if is_fused else LoopFit(settings, fallback=fit)
    reason = _why_not(chosen, jobs[0])
    if reason:
        raise ValueError(reason)
    alone = ledger.train(fit, [_jobs(net, policy, last + 1)[last]])
    for error in alone.errors.values():
        raise ValueError(f"{_KERAS}{explanation(error)}") from error
    tried = ledger.train(chosen, jobs)
    for error in tried.errors.values():
        raise error
    name, reasons = tried.engines[-1]
    if name != engine:
        raise ValueError(reasons[0])
    distances = _distances(net, jobs[last], tried, alone, last, len(several))
    return [
        Pair(group, branch.name, engine, None, _NOT_FINITE)
        if math.isnan(distance)
        else Pair(group, branch.name, engine, distance)
        for branch, distance in zip(several, distances, strict=True)
    ]


def _short(text: str) -> str:
    """The first sentence of a reason, or its beginning."""
    text = " ".join(text.split())
    return text if len(text) <= _A_REASON else f"{text[:_A_REASON].rsplit(' ', 1)[0]} ..."


def _why_not(engine: FusedFit | LoopFit, job: Any) -> str | None:
    """Why such a job is never trained so."""
    if not proven_classes.has_same_start(job.spec):
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
    """The largest difference of each branch, in its weights, optimizer and history.

    NaN where those of `alone` are not finite.
    """
    owners = _owners(net, count)
    distances = [0.0] * count
    weights = zip(tried.weights[number], alone.weights[number], strict=True)
    for index, (left, right) in enumerate(weights):
        place = owners[index]
        distances[place] = np.maximum(distances[place], _distance(left, right))
    # An optimizer's slots follow from gradients, as the weights do; alone they need no owner.
    if count == 1:
        slots = zip(tried.optimizer[number], alone.optimizer[number], strict=True)
        distances[0] = np.max([distances[0], *(_distance(left, right) for left, right in slots)])
    for (_, logs), (_, others) in zip(tried.logs[number], alone.logs[number], strict=True):
        assert logs.keys() == others.keys()
        for name in logs:
            place = _place(name, count)
            if place is not None:
                distances[place] = np.maximum(distances[place], _distance(logs[name], others[name]))
    return [float(distance) for distance in distances]


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
    if not np.isfinite(right).all():
        return math.nan
    if np.array_equal(left, right):
        return 0.0
    distance = float(np.abs(left - right).max() / max(1.0, float(np.abs(right).max())))
    return distance if math.isfinite(distance) else math.inf


def models(group: Group, names: Iterable[str], apart: Set[str]) -> Iterator[list[Branch]]:
    """The branches of these names in one model each: several, where none of them is `apart`.

    Class weights go with one output only.
    """
    wanted = [branch for branch in group.branches if branch.name in set(names)]
    size = 1 if "class_weight" in group.given else _A_MODEL
    for part in (
        [branch for branch in wanted if branch.name not in apart],
        [branch for branch in wanted if branch.name in apart],
    ):
        yield from (part[start : start + size] for start in range(0, len(part), size))


def some(name: str, names: Sequence[str]) -> list[Pair]:
    """The pairs of some branches of the groups of one name, by both engines."""
    warnings.simplefilter("ignore")
    known = [pair for pair in read() if pair.verdict == "not"]
    measured: list[Pair] = []
    for group in (group for group in groups() if group.name == name):
        apart = {pair.name for pair in known}
        for several in models(group, names, apart):
            measured += _whole(group, several)
    return measured


def _whole(group: Group, several: Sequence[Branch]) -> list[Pair]:
    """What is refused with several metrics, with each of them alone as well."""
    by_name = {branch.name: branch for branch in several}
    measured = measure(group.name, several, group.given)
    for engine in ENGINES:
        refused = [p.name for p in measured if p.engine == engine and p.verdict == "not"]
        alone = {b.name: b for name in refused for b in singles(by_name[name])}
        if not alone:
            continue
        parted = {name for name in refused if len(by_name[name].metrics) > 1}
        measured = [p for p in measured if p.engine != engine or p.name not in parted]
        size = 1 if "class_weight" in group.given else _A_MODEL
        each = list(alone.values())
        for start in range(0, len(each), size):
            measured += measure(group.name, each[start : start + size], group.given, (engine,))
        by_name |= alone
    return [replace(pair, parts=_parts(by_name[pair.name], group.given)) for pair in measured]


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
    return " ".join(sorted({f"{kind}:{name}" for kind, name in proven_classes.parts(spec)}))


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


def wanted(name: str, *, is_missing: bool) -> list[str]:
    """The branches of a name that are to be measured: all, or those without any row."""
    known = {pair.name for pair in read() if pair.group == name} if is_missing else set()
    return [
        branch.name
        for group in groups()
        if group.name == name
        for branch in group.branches
        if not _names(branch) & known
    ]


def measure_and_keep(name: str, names: Sequence[str]) -> None:
    """In a process of its own, for TensorFlow keeps every graph that it has traced.

    Where it dies each half is tried, and what it dies of is a row too.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            measured = pool.submit(some, name, names).result()
        except BrokenProcessPool:
            if len(names) > 1:
                half = len(names) // 2
                measure_and_keep(name, names[:half])
                measure_and_keep(name, names[half:])
                return
            reason = "its process died"
            measured = [Pair(name, names[0], engine, None, reason) for engine in ENGINES]
    for pair in measured:
        print(pair, flush=True)
    several = [b for g in groups() if g.name == name for b in g.branches if b.name in names]
    new = {known for branch in several for known in _names(branch)}
    write([p for p in read() if p.group != name or p.name not in new] + measured)


def main(parts: Sequence[str]) -> None:
    """Measure, keep what was measured, and write the page."""
    import equality_page

    is_missing = "--missing" in parts
    parts = [part for part in parts if part != "--missing"]
    for name in dict.fromkeys(group.name for group in groups()):
        if parts and not any(part in name for part in parts):
            continue
        names = wanted(name, is_missing=is_missing)
        for first in range(0, len(names), _A_PROCESS):
            measure_and_keep(name, names[first : first + _A_PROCESS])
    equality_page.write(read())


if __name__ == "__main__":
    main(sys.argv[1:])

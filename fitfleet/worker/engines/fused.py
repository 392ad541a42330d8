"""K members at once in one vectorised program."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.worker.build import architecture, precision
from fitfleet.worker.callbacks import ModelState, user_callbacks
from fitfleet.worker.engines.engine import Hooks, Member
from fitfleet.worker.engines.feed import Feed, Feeds
from fitfleet.worker.engines.fused_program import FusedProgram
from fitfleet.worker.engines.fused_state import MemberModel, MemberStateInStack, StackState
from fitfleet.worker.engines.initial import InitialWeights
from fitfleet.worker.engines.keras_fit import finish_callbacks
from fitfleet.worker.engines.speeds import Speeds
from fitfleet.worker.engines.stacked_layers import Unfusable
from fitfleet.worker.engines.trace_cache import batch_symbols, trace_key
from fitfleet.worker.engines.tunable import Factors, variable_build
from fitfleet.worker.order import orders, seed_state, seed_variables
from fitfleet.worker.state import checkpoint

_KEPT_PROGRAMS = 4
_MOST_TEXT = 300


@dataclass(eq=False)
class Seat:
    """A member's place in the stack. `epoch` is the one it trains next."""

    member: Member
    own: MemberModel
    epoch: int


@dataclass
class Fused:
    """A compiled model with its program, and what it takes to start any seed on it."""

    model: Any
    program: FusedProgram
    factors: Factors
    initial: InitialWeights
    first_seed: int
    first_weights: list[np.ndarray]
    optimizer_start: list[np.ndarray]

    def start(self, spec: Any) -> list[Any]:
        """Values of the program's variables for a fresh member."""
        is_first = spec.seed == self.first_seed
        weights = self.first_weights if is_first else self.initial.values(spec)
        optimizer = list(self.optimizer_start)
        rate = spec.optimizer["config"].get("learning_rate")
        if isinstance(rate, int | float):
            index = _index(self.program.optimizer, self.model.optimizer._learning_rate)
            optimizer[index] = np.asarray(rate, optimizer[index].dtype)
        return self._row(weights, optimizer, spec)

    def restored(self, spec: Any, snapshot: Any) -> list[Any]:
        """Values of the program's variables for a member that goes on from a checkpoint."""
        checkpoint.restore(self.model, snapshot)
        weights = [v.numpy() for v in self.program.weights]
        return self._row(weights, [v.numpy() for v in self.program.optimizer], spec)

    def _row(self, weights: Sequence[Any], optimizer: Sequence[Any], spec: Any) -> list[Any]:
        metrics = [np.zeros(v.shape, v.dtype) for v in self.program.metrics]
        return [*weights, *optimizer, *self.factors.values(spec), *metrics]


class FusedFit:
    """All members that share an architecture and a dataset, in one program."""

    name = "fused"

    def __init__(
        self, settings: Settings, speeds: Speeds | None = None, feeds: Feeds | None = None
    ) -> None:
        self._settings = settings
        self._speeds = speeds
        self._kept: OrderedDict[str, Fused] = OrderedDict()
        self._failures: dict[str, str] = {}
        self._feeds = feeds or Feeds()

    def key(self, member: Member) -> str:
        """The same for members that one fused program can train."""
        with precision(member.spec.dtype_policy):
            return trace_key(member.spec, *self._feeds.of(member))

    def is_traced(self, member: Member) -> bool:
        """Whether the program of this member is at hand."""
        return self.key(member) in self._kept

    def trace(self, members: Sequence[Member]) -> str | None:
        """Trace the program for these members. What makes that impossible, or None."""
        key = self.key(members[0])
        if key in self._failures:
            return self._failures[key]
        try:
            with precision(members[0].spec.dtype_policy):
                self._fused(members[0], *self._feeds.of(members[0]))
        except Exception as error:  # TensorFlow and Keras raise many kinds while tracing
            text = " ".join(str(error).split()) or type(error).__name__
            self._failures[key] = text[:_MOST_TEXT]
            return self._failures[key]
        return None

    def fit(self, members: Sequence[Member], hooks: Hooks) -> None:
        """Trains every member that is not done to its end."""
        with precision(members[0].spec.dtype_policy):
            training, validation = self._feeds.of(members[0])
            fused = self._fused(members[0], training, validation)
            cohort = Cohort(fused, hooks, training, validation, self._settings)
            cohort.seat(members)
            cohort.run()
        if self._speeds is not None and cohort.epoch_s is not None:
            key = trace_key(members[0].spec, training, validation)
            self._speeds.record(key, self.name, cohort.epoch_s)

    def _fused(self, member: Member, training: Feed, validation: Feed | None) -> Fused:
        key = trace_key(member.spec, training, validation)
        found = self._kept.pop(key, None) or self._trace(member.spec, training, validation)
        self._kept[key] = found
        while len(self._kept) > _KEPT_PROGRAMS:
            self._kept.popitem(last=False)
        return found

    def _trace(self, spec: Any, training: Feed, validation: Feed | None) -> Fused:
        model, factors = variable_build(spec, self._settings)
        if not factors.is_complete:
            raise Unfusable("a dropout rate or regularization factor is nowhere in the model")
        model._symbolic_build(data_batch=batch_symbols(training.data))
        sizes = (spec.batch_size, spec.validation_batch_size or spec.batch_size)
        program = FusedProgram(model, factors.variables, training, validation, sizes)
        return Fused(
            model,
            program,
            factors,
            InitialWeights(lambda one: architecture(one, self._settings), spec, model),
            spec.seed,
            [v.numpy() for v in program.weights],
            [v.numpy() for v in program.optimizer],
        )


class Cohort:
    """The epochs of several members in a stack."""

    def __init__(
        self,
        fused: Fused,
        hooks: Hooks,
        training: Feed,
        validation: Feed | None,
        settings: Settings,
    ) -> None:
        self._fused, self._hooks, self._settings = fused, hooks, settings
        self._training, self._validation = training, validation
        self._seats: list[Seat] = []
        self._state: StackState
        self.epoch_s: float | None = None

    def seat(self, members: Sequence[Member]) -> None:
        """Give every member that has epochs left its row; finish those that have none."""
        rows: list[list[Any]] = []
        waiting: list[Member] = []
        for member in members:
            with self._hold(member):
                self._hooks.batch_end(member)  # it may have been stopped while it waited
                member.callbacks = user_callbacks(member.spec, self._settings)
                if member.is_trained:
                    self._finish_trained(member)
                    continue
                snapshot = member.snapshot
                row = self._fused.restored(member.spec, snapshot) if snapshot else None
                rows.append(row or self._fused.start(member.spec))
                waiting.append(member)
        if not rows:
            return
        self._state = StackState(self._fused.program.variables, rows)
        for row_number, member in enumerate(waiting):
            own = MemberModel(self._fused.model, self._state, row_number)
            self._seats.append(Seat(member, own, member.first_epoch))
        for seat in self._seats:
            self._begin(seat)
        self._compact([])

    def run(self) -> None:
        """Train until no seat is taken any more."""
        is_first = True
        while self._seats:
            self._begin_epoch()
            began, count = time.perf_counter(), len(self._seats)
            logs = self._advance()
            share = (time.perf_counter() - began) / count
            if not is_first:  # it contains what TensorFlow makes of a new program
                self.epoch_s = min(share, self.epoch_s or share)
            is_first = False
            finished = [seat for row, seat in enumerate(self._seats) if self._end(seat, row, logs)]
            self._compact(finished)

    def _hold(self, member: Member) -> AbstractContextManager[None]:
        """An error inside ends this member, and no other."""
        return self._hooks.preparing(member)

    def _begin(self, seat: Seat) -> None:
        member = seat.member
        with self._hold(member):
            member.is_running, member.began_at = True, member.began_at or time.monotonic()
            for callback in member.callbacks:
                callback.set_model(seat.own)
                callback.set_params({"epochs": member.spec.epochs, "verbose": 0})
                callback.on_train_begin()
            if member.snapshot is not None:
                checkpoint.restore_callbacks(member.callbacks, member.snapshot)

    def _begin_epoch(self) -> None:
        for index, variable in enumerate(seed_variables(self._fused.model)):
            for seat in self._seats:
                state = seed_state(seat.member.spec.seed, index, seat.epoch)
                value = np.array(state, "int64").astype(variable.dtype)
                self._state.set(variable, seat.own.row, value)
        for seat in self._seats:
            with self._hold(seat.member):
                self._hooks.epoch_begin(seat.member, seat.epoch)
                for callback in seat.member.callbacks:
                    callback.on_epoch_begin(seat.epoch)

    def _advance(self) -> dict[str, np.ndarray]:
        """One epoch of all. The logs, each (K,)."""
        program, state = self._fused.program, self._state
        tensors, logs = program.train(
            state.tensors, self._training, tf.constant(self._orders()), self._between
        )
        if self._validation is not None:
            tensors, found = program.validate(tensors, self._validation, self._between)
            logs |= {f"val_{name}": value for name, value in found.items()}
        state.tensors = tensors
        return logs

    def _orders(self) -> np.ndarray:
        rows = self._training.rows
        found = [
            orders([seat.member.spec.seed], seat.epoch, rows, is_shuffled=seat.member.spec.shuffle)[
                0
            ]
            for seat in self._seats
        ]
        return np.stack(found)

    def _between(self) -> None:
        for seat in self._seats:
            if not seat.member.is_done:
                with self._hold(seat.member):
                    self._hooks.batch_end(seat.member)

    def _end(self, seat: Seat, row: int, logs: dict[str, np.ndarray]) -> bool:
        """The end of a member's epoch. True: of its fit, too."""
        member, epoch = seat.member, seat.epoch
        is_last = False
        if member.is_done:
            return False
        with self._hold(member):
            own = {name: float(values[row]) for name, values in logs.items()}
            for callback in member.callbacks:
                callback.on_epoch_end(epoch, own)
            own = {name: float(value) for name, value in own.items()}
            state = MemberStateInStack(lambda: self._filled(seat), seat.own)
            has_ended = self._hooks.epoch_end(member, epoch, own, state)
            seat.epoch = epoch + 1
            is_last = has_ended or seat.own.stop_training or seat.epoch >= member.spec.epochs
        return is_last

    def _compact(self, finished: Sequence[Seat]) -> None:
        """Finish members, and take all that have ended out of the stack."""
        for seat in finished:
            self._finish(seat)
        kept = [seat for seat in self._seats if not seat.member.is_done]
        if len(kept) < len(self._seats) and kept:
            self._state.keep([seat.own.row for seat in kept])
        for row, seat in enumerate(kept):
            seat.own.row = row
        self._seats = kept

    def _finish(self, seat: Seat) -> None:
        member = seat.member
        with self._hooks.running(member):
            model = self._filled(seat)
            model.optimizer.finalize_variable_values(model.trainable_weights)
            for callback in member.callbacks:
                callback.set_model(model)
                callback.on_train_end()
            self._hooks.train_end(member, ModelState(model))

    def _filled(self, seat: Seat) -> Any:
        """The one compiled model of the program, holding a member's values for now."""
        model = self._fused.model
        self._state.load(seat.own.row)
        self._fused.factors.set(seat.member.spec)
        model.stop_training = seat.own.stop_training
        return model

    def _finish_trained(self, member: Member) -> None:
        with self._hooks.running(member):
            if member.snapshot is not None:
                checkpoint.restore(self._fused.model, member.snapshot)
            self._fused.factors.set(member.spec)
            finish_callbacks(self._fused.model, member)
            self._hooks.train_end(member, ModelState(self._fused.model))


def _index(variables: Sequence[Any], wanted: Any) -> int:
    return next(i for i, v in enumerate(variables) if v is wanted)

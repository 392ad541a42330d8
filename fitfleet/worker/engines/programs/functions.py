"""The functions of traced programs: read from the user's store, or traced and stored.

The graph of a function is stored as TensorFlow ran it in the first call: inlined, placed and
optimised. A process that reads it runs the same graph, so its results are bit-equal to those of the
process that traced it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.worker.engines.programs import optimised_graph
from fitfleet.worker.engines.programs.optimised_graph import Stored
from fitfleet.worker.engines.programs.program_store import ProgramStore, folder_of
from fitfleet.worker.engines.programs.trace_lock import TraceLock
from fitfleet.worker.keras_private import eager_context, execute

Function = Callable[..., Any]


@dataclass(frozen=True)
class Tracing:
    """The lock by which other processes see that a program is being traced."""

    lock: TraceLock
    trace_s: float  # the expected time of the trace

    def begin(self) -> None:
        """Take the lock, or wait for another process that traces the program."""
        if not self.lock.take():
            self.lock.wait(self.trace_s)


class Functions:
    """The functions of the programs of one model."""

    def __init__(
        self,
        store: ProgramStore | None = None,
        key: str = "",
        variables: Sequence[Any] = (),
        tracing: Tracing | None = None,
    ) -> None:
        """`key` identifies all that the graphs depend on; without a store all functions are traced.

        `variables`, in an order that the key implies, are those that functions read and assign.
        """
        self._store, self._key, self._tracing = store, key, tracing
        self._pending = 0  # functions that are traced but not stored yet
        self.are_new = True  # until their cost was recorded
        self.made_s = 0.0
        self.are_read = store is not None  # all functions so far
        self.are_kept = False  # stored on the disk
        self._variables = list({id(v): v for v in variables}.values())

    def make(self, name: str, python: Callable[..., Any], signature: Sequence[Any]) -> Function:
        """The function of a name, for nested tensors of a signature. Raises what tracing raises."""
        began = time.perf_counter()
        try:
            return self._make(name, python, signature)
        finally:
            self.made_s += time.perf_counter() - began

    def _make(self, name: str, python: Callable[..., Any], signature: Sequence[Any]) -> Function:
        if self._store is None:
            traced: Function = _traced(python, signature)
            return traced
        key = f"{name} {self._key}"
        stored = self._find(self._store, key, signature)
        if stored is None and self._tracing is not None:
            self._tracing.begin()
            stored = self._find(self._store, key, signature)
            if stored is None:
                self._tracing.lock.take()
            else:
                self._release()
        if stored is not None:
            self.are_kept = True
            return stored
        self.are_read = False
        try:
            traced = _traced(python, signature)
        except BaseException:
            self._release()
            raise
        self._pending += 1
        return _Storing(traced, self._keep, key)

    def _find(self, store: ProgramStore, key: str, signature: Sequence[Any]) -> Function | None:
        content = store.get(key)
        stored = None if content is None else self._read(content, key, signature)
        if content is not None and stored is None:
            store.remove(key)
        return stored

    def _read(self, content: bytes, key: str, signature: Sequence[Any]) -> Function | None:
        stored = Stored.read(content, self._variables)
        if stored is None:
            return None
        try:
            return _Read(stored, f"fitfleet_{hashlib.sha256(key.encode()).hexdigest()}", signature)
        except (ValueError, tf.errors.OpError):  # TensorFlow refuses the definition
            return None

    def _keep(self, function: Any, graphs: Any, key: str) -> None:
        """Store a function; `graphs` are those of its first call."""
        try:
            self._put(function, graphs, key)
        finally:
            self._pending -= 1
            self._release()

    def _release(self) -> None:
        """Release the lock, unless more functions of the program are to be stored."""
        if self._tracing is not None and not self._pending:
            self._tracing.lock.release()

    def _put(self, function: Any, graphs: Any, key: str) -> None:
        assert self._store is not None
        if self._store.has(key):  # another process has stored it
            self.are_kept = True
            return
        try:
            content = optimised_graph.to_bytes(function, graphs, self._variables)
        except Exception:  # TensorFlow cannot export it; the traced function works
            return
        if content is not None:
            self._store.put(key, content)
            self.are_kept = True


def program_store(settings: Settings) -> ProgramStore | None:
    """The user's programs on this machine; None with a GPU, whose graphs are not stored."""
    if tf.config.list_physical_devices("GPU"):
        return None
    folder = folder_of(settings.programs)
    return None if folder is None else ProgramStore(folder, settings.programs_bytes)


def speeds_folder(settings: Settings) -> Path:
    """The folder of the measured times of this machine."""
    folder = folder_of(settings.programs)
    return Path(settings.cache) if folder is None else folder.parent


def _traced(python: Callable[..., Any], signature: Sequence[Any]) -> Any:
    function = tf.function(python, autograph=False, input_signature=tuple(signature))
    return function.get_concrete_function()


class _Storing:
    """A traced function, which is stored after its first call."""

    def __init__(self, function: Any, keep: Callable[[Any, Any, str], None], key: str) -> None:
        self._function, self._keep, self._key = function, keep, key
        self._is_new = True

    def __call__(self, *arguments: Any) -> Any:
        if not self._is_new:
            return self._function(*arguments)
        self._is_new = False
        context = eager_context.context()
        context.enable_graph_collection()
        try:
            result = self._function(*arguments)
            graphs = context.export_run_metadata()
        finally:
            context.disable_graph_collection()
        self._keep(self._function, graphs, self._key)
        return result


class _Read:
    """A function that was read from the store, called by its name."""

    def __init__(self, stored: Stored, name: str, signature: Sequence[Any]) -> None:
        context = eager_context.context()
        if not context.has_function(name):
            context.add_function_def(stored.named(name))
        self._name, self._stored, self._context = name, stored, context
        self._dtypes = [spec.dtype for spec in tf.nest.flatten(list(signature))]
        options = context.function_call_options.config_proto_serialized
        self._attributes = optimised_graph.attributes(options)

    def __call__(self, *arguments: Any) -> Any:
        flat = tf.nest.flatten(list(arguments))
        tensors = [
            tf.convert_to_tensor(value, dtype)
            for value, dtype in zip(flat, self._dtypes, strict=True)
        ]
        inputs = [*tensors, *self._stored.handles]
        outputs = execute.execute(
            self._name, self._stored.outputs, inputs, self._attributes, self._context
        )
        return self._stored.packed(outputs)

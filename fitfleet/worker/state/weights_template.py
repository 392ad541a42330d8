"""A model's weights file: quick to make for a small model, small in memory for a large one.

Keras looks at every attribute of every part and makes a new layer or optimizer to compare it
with: 30 ms and more for a small model. Between two saves of one model only the numbers change.
So the first file is written by Keras, and where in it each variable lies is kept; the following
ones are copies with other numbers in these places, made in memory. A large model is walked through
each time, and goes to the disk variable by variable.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import h5py
import keras

from fitfleet.worker.keras_private import saving_lib
from fitfleet.worker.state.hdf5 import created

_OF_OPTIMIZER = re.compile(r"/optimizer/vars/(\d+)")
# Weights and optimizer together; above, a copy in memory costs more than the walk.
_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Template:
    """A file with the place of every variable in it."""

    content: bytes
    places: Sequence[tuple[int, Any]]  # (offset, variable)
    variables: Sequence[int]  # what the model consisted of

    def filled(self) -> bytearray:
        """The file with the variables' present values."""
        content = bytearray(self.content)
        for offset, variable in self.places:
            value = variable.numpy().tobytes()
            content[offset : offset + len(value)] = value
        return content


_templates: WeakKeyDictionary[Any, _Template] = WeakKeyDictionary()


@contextmanager
def weights_file(path: Path, model: Any) -> Iterator[Any]:
    """What `model.save_weights` would write now, as an open `h5py.File` that may be added to.

    The file at `path` is whole when the block has ended. OSError when the disk refuses it.
    """
    if nbytes(model) > _MAX_BYTES:
        with created(path) as file:
            _write(file, model)
            yield file
        return
    content = _in_memory(model)
    with h5py.File(content, "r+") as file:
        yield file
    path.write_bytes(content.getbuffer())


def nbytes(model: Any) -> int:
    """Size of a compiled model's variables, the optimizer's included."""
    variables = [*model.variables, *model.optimizer.variables]
    return sum(math.prod(v.shape) * v.value.dtype.size for v in variables)


def _in_memory(model: Any) -> io.BytesIO:
    template = _templates.get(model)
    if template is not None and template.variables == _variables(model):
        return io.BytesIO(template.filled())
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        entries = _write(file, model)
    _templates.pop(model, None)
    places = _places(content, entries, model)
    if places is not None:
        _templates[model] = _Template(content.getvalue(), places, _variables(model))
    return content


def _write(file: Any, model: Any) -> list[tuple[str, Any]]:
    """As Keras does it; (path in the file, variable if it was one) of every entry."""
    store = _Store(file)
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    return store.entries


class _Store(saving_lib.H5IOStore):  # type: ignore[misc]
    """Keras's store over an open file, which notes what is put where."""

    def __init__(self, file: Any) -> None:
        self.entries: list[tuple[str, Any]] = []  # (path in the file, variable if it was one)
        self._file = file
        super().__init__(io.BytesIO(), mode="w")

    def _get_h5_file(self, path_or_io: Any, mode: str | None = None) -> Any:
        return self._file

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        # Not the arrays: those of a large model's optimizer would pile up here.
        variable = value if isinstance(value, keras.Variable) else None
        self.entries.append((f"{self._h5_entry_group.name}/{key}", variable))


def _places(
    content: io.BytesIO, entries: Sequence[tuple[str, Any]], model: Any
) -> list[tuple[int, Any]] | None:
    """Where each variable lies in the file, or None where that is not plain to see."""
    places: list[tuple[int, Any]] = []
    written = content.getvalue()
    with h5py.File(io.BytesIO(written), "r") as file:
        for path, known in entries:
            variable = _of_optimizer(path, model) if known is None else known
            offset = file[path].id.get_offset()
            if variable is None or offset is None:
                return None
            expected = variable.numpy().tobytes()
            if written[offset : offset + len(expected)] != expected:
                return None
            places.append((offset, variable))
    return places


def _of_optimizer(path: str, model: Any) -> Any:
    """The variable behind an entry for which an optimizer has handed over the value only."""
    match = _OF_OPTIMIZER.fullmatch(path)
    if match is None:
        return None
    return model.optimizer.variables[int(match[1])]


def _variables(model: Any) -> list[int]:
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    return [id(variable) for group in groups for variable in group]

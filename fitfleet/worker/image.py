"""The bytes of a model's weights file, without Keras's walk through the model each time.

Keras looks at every attribute of every part and makes a new layer or optimizer to compare it
with: 30 ms and more for a small model. Between two saves of one model only the numbers change.
So the first file is written by Keras, and where in it each variable lies is kept; the following
ones are copies with other numbers in these places.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import h5py
import keras
from keras.src.saving import saving_lib

_OF_OPTIMIZER = re.compile(r"/optimizer/vars/(\d+)")
# A large model's file is written by Keras each time: its copy would be held for nothing.
_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Image:
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


_images: WeakKeyDictionary[Any, _Image] = WeakKeyDictionary()


def weights_file(model: Any) -> io.BytesIO:
    """What `model.save_weights` would write now."""
    image = _images.get(model)
    if image is not None and image.variables == _variables(model):
        return io.BytesIO(image.filled())
    content = io.BytesIO()
    store = _Store(content, mode="w")
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    store.close()
    _images.pop(model, None)
    if content.getbuffer().nbytes <= _MOST_BYTES:
        places = _places(content, store.entries, model)
        if places is not None:
            _images[model] = _Image(content.getvalue(), places, _variables(model))
    return content


class _Store(saving_lib.H5IOStore):  # type: ignore[misc]
    """Keras's store, which notes what is put where."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.entries: list[tuple[str, Any]] = []  # (path in the file, variable or array)
        super().__init__(*args, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.entries.append((f"{self._h5_entry_group.name}/{key}", value))


def _places(
    content: io.BytesIO, entries: Sequence[tuple[str, Any]], model: Any
) -> list[tuple[int, Any]] | None:
    """Where each variable lies in the file, or None where that is not plain to see."""
    found: list[tuple[int, Any]] = []
    written = content.getvalue()
    with h5py.File(io.BytesIO(written), "r") as file:
        for path, value in entries:
            variable, offset = _variable(path, value, model), file[path].id.get_offset()
            if variable is None or offset is None:
                return None
            expected = variable.numpy().tobytes()
            if written[offset : offset + len(expected)] != expected:
                return None
            found.append((offset, variable))
    return found


def _variable(path: str, value: Any, model: Any) -> Any:
    """The variable behind an entry; an optimizer hands over its variables' values only."""
    if isinstance(value, keras.Variable):
        return value
    match = _OF_OPTIMIZER.fullmatch(path)
    if match is None:
        return None
    return model.optimizer.variables[int(match[1])]


def _variables(model: Any) -> list[int]:
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    return [id(variable) for group in groups for variable in group]

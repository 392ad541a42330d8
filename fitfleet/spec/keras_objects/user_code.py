"""Whether a Keras object with custom code can be created again from its config.

Keras is not imported here: if there is an object of Keras, its caller has imported it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from fitfleet.spec.keras_objects.custom_objects import is_of_keras

# Keras passes these to the constructor of every layer, loss and metric, needed or not.
# A worker omits those that a class does not take.
OF_KERAS = ("name", "trainable", "dtype", "activity_regularizer", "reduction")


_readable: WeakSet[Any] = WeakSet()


def unreadable(model: Any) -> str | None:
    """The class of the first custom layer that cannot be created from its config."""
    if not hasattr(model, "_flatten_layers"):
        return None  # the short form
    for layer in _custom_layers(model):
        if layer not in _readable:
            if not _can_be_recreated(type(layer), layer):
                return type(layer).__name__
            _readable.add(layer)
    return None


def not_taken(kind: type) -> list[str]:
    """Which of Keras's general arguments the constructor of this class does not take."""
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    taken = {parameter.name for parameter in parameters}
    return [name for name in OF_KERAS if name not in taken]


def _can_be_recreated(kind: Any, layer: Any) -> bool:
    """Whether the layer can be created from its config; Keras's random state is restored."""
    random = sys.modules.get("random")
    state = random.getstate() if random is not None else None
    try:
        with sys.modules["keras"].saving.custom_object_scope({kind.__name__: kind}):
            config = layer.get_config()
            left_out = not_taken(kind) if _is_read_by_keras(kind) else []
            kind.from_config({k: v for k, v in config.items() if k not in left_out})
    except Exception:  # custom code may raise anything
        return False
    finally:
        if random is not None and state is not None:
            random.setstate(state)
    return True


def _is_read_by_keras(kind: Any) -> bool:
    return str(kind.from_config.__func__.__module__).startswith("keras.")


def _custom_layers(model: Any) -> Iterator[Any]:
    """Layers of the config, also of nested models."""
    for layer in getattr(model, "layers", ()):
        if _is_own(layer):
            yield layer
        elif hasattr(layer, "layers"):
            yield from _custom_layers(layer)


def _is_own(value: Any) -> bool:
    return not is_of_keras(str(type(value).__module__))

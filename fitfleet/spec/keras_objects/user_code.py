"""Whether a Keras object can be made again from its config, where the user's code is in it.

Keras is not imported here: an object of it exists only when its caller has imported it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from fitfleet.spec.keras_objects.custom_objects import is_of_keras

# Keras gives these to the constructor of every layer, loss or metric, whether it takes them or not.
# A worker leaves out what a class does not take.
OF_KERAS = ("name", "trainable", "dtype", "activity_regularizer", "reduction")


_readable: WeakSet[Any] = WeakSet()


def unreadable(model: Any) -> str | None:
    """The class of the first layer of the user's that cannot be made from its own config."""
    if not hasattr(model, "_flatten_layers"):
        return None  # the short form
    for layer in _own_layers(model):
        if layer not in _readable:
            if not _is_made_again(type(layer), layer):
                return type(layer).__name__
            _readable.add(layer)
    return None


def not_taken(kind: type) -> list[str]:
    """Which of Keras's own arguments the constructor of this class does not take."""
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    taken = {parameter.name for parameter in parameters}
    return [name for name in OF_KERAS if name not in taken]


def _is_made_again(kind: Any, layer: Any) -> bool:
    """Making it has no effect on the layer, nor on what is drawn at random afterwards."""
    random = sys.modules.get("random")
    state = random.getstate() if random is not None else None
    try:
        with sys.modules["keras"].saving.custom_object_scope({kind.__name__: kind}):
            config = layer.get_config()
            left_out = not_taken(kind) if _is_read_by_keras(kind) else []
            kind.from_config({k: v for k, v in config.items() if k not in left_out})
    except Exception:  # the user's own code may raise anything
        return False
    finally:
        if random is not None and state is not None:
            random.setstate(state)
    return True


def _is_read_by_keras(kind: Any) -> bool:
    return str(kind.from_config.__func__.__module__).startswith("keras.")


def _own_layers(model: Any) -> Iterator[Any]:
    """Layers of the config, those of models inside the model included."""
    for layer in getattr(model, "layers", ()):
        if _is_own(layer):
            yield layer
        elif hasattr(layer, "layers"):
            yield from _own_layers(layer)


def _is_own(value: Any) -> bool:
    return not is_of_keras(str(type(value).__module__))

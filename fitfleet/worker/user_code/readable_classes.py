"""Layers, losses and metrics of the user's own whose constructor takes neither name nor dtype.

Keras writes `name`, `trainable`, `dtype` or `reduction` into every config and hands them to the
constructor when it makes the object again, so that such a class, though it works under `fit`,
cannot be read by Keras itself. Here it can, and a layer has the name that it had.
"""

from __future__ import annotations

from typing import Any

from fitfleet.spec.keras_objects.user_code import not_taken


def make_readable(kind: Any) -> None:
    """Lets `kind.from_config` leave out what the constructor of the class does not take.

    Any other class or function, and one with a from_config of its own, stays as it is.
    """
    import keras

    kinds = (keras.layers.Layer, keras.losses.Loss, keras.metrics.Metric)
    if not (isinstance(kind, type) and issubclass(kind, kinds)):
        return
    method = _written_method(kind)
    if not method.__module__.startswith("keras."):
        return
    left_out = not_taken(kind)
    if left_out:
        kind.from_config = _Reader(method, left_out)  # type: ignore[attr-defined]


class _Reader(classmethod):  # type: ignore[type-arg]
    """Keras's from_config less what the constructor does not take."""

    def __init__(self, read: Any, left_out: list[str]) -> None:
        def from_config(cls: Any, config: dict[str, Any]) -> Any:
            if "layers" in config:  # of a Functional model, whose graph Keras reads itself
                return read(cls, config)
            layer = read(cls, {name: v for name, v in config.items() if name not in left_out})
            is_layer = hasattr(layer, "trainable_weights")
            if is_layer and "name" in left_out and config.get("name"):
                layer.name = config["name"]
            if is_layer and "trainable" in left_out and config.get("trainable") is False:
                layer.trainable = False
            return layer

        super().__init__(from_config)


def _written_method(kind: type) -> Any:
    """The function behind from_config as it is in the source, of the class or a parent's."""
    methods = [vars(cls)["from_config"] for cls in kind.__mro__ if "from_config" in vars(cls)]
    return next(method for method in methods if not isinstance(method, _Reader)).__func__

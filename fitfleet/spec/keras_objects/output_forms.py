"""One canonical form of the losses and metrics that `compile` accepts in several forms.

Keras takes a loss for a model of one output as itself, in a list of one, or by the output's name;
weights of losses that are all 1 change nothing. For a model that gives a list of outputs it puts
losses and weights by name in the outputs' order, and metrics in a list by name. For a dict of
outputs the form stays as it was written, since its order is that in which the losses are added.
"""

from __future__ import annotations

from typing import Any

from fitfleet.spec.keras_objects.object_documents import is_custom, is_space


def simplify(values: dict[str, Any], model: dict[str, Any] | None) -> None:
    """Write loss, loss_weights and metrics in their simplest equivalent form, in place."""
    name = _only_output(model)
    for part in ("loss", "loss_weights"):
        if name is not None:
            values[part] = _only(values.get(part), name, is_list=False)
    for part in ("metrics", "weighted_metrics"):
        metrics = values.get(part)
        if name is None:
            values[part] = _each_a_list(metrics)
        else:
            metrics = _only(metrics, name, is_list=True)
            is_whole = metrics is None or isinstance(metrics, list) or is_space(metrics)
            values[part] = metrics if is_whole else [metrics]
    if _are_ones(values.get("loss_weights"), values.get("loss")):
        values["loss_weights"] = None
    _simplify_several(values, names_of_a_list(model))


def names_of_a_list(model: dict[str, Any] | None) -> list[str]:
    """Names of the outputs of a model with a flat list of several; else empty."""
    ends = ((model or {}).get("config") or {}).get("output_layers")
    if not isinstance(ends, list) or not all(map(_is_tensor, ends)):
        return []
    names = [end[0] for end in ends]
    return names if len(names) > 1 and len(set(names)) == len(names) else []


def _is_tensor(end: Any) -> bool:
    return isinstance(end, list) and len(end) == 3 and isinstance(end[0], str)


def _simplify_several(values: dict[str, Any], names: list[str]) -> None:
    if not names:
        return
    loss: Any = values.get("loss")
    weights: Any = values.get("loss_weights")
    if _names_all(weights, names) and (_names_all(loss, names) or names == sorted(names)):
        values["loss_weights"] = [weights[name] for name in names]
    if _names_all(loss, names):
        loss = values["loss"] = [loss[name] for name in names]
    if values.get("loss_weights") is None and _are_same(loss, names):
        values["loss"] = loss[0]
    for part in ("metrics", "weighted_metrics"):
        metrics = values.get(part)
        if isinstance(metrics, list) and len(metrics) == len(names):
            values[part] = _each_a_list(dict(zip(names, metrics, strict=True)))
        if values.get(part) == {}:
            values[part] = None


def _names_all(value: Any, names: list[str]) -> bool:
    return _is_by_name(value) and set(value) == set(names)


def _are_same(loss: Any, names: list[str]) -> bool:
    """Whether a list is the same loss for all outputs; custom losses may each have a state."""
    if not isinstance(loss, list) or len(loss) != len(names) or loss[0] is None:
        return False
    is_own = isinstance(loss[0], dict) and is_custom(loss[0])
    return not is_own and all(part == loss[0] for part in loss)


def _only_output(model: dict[str, Any] | None) -> str | None:
    """The name of the only output of a model; None for several, a dict, or unknown ones."""
    config = (model or {}).get("config")
    if not isinstance(config, dict):
        return None
    layers, ends = config.get("layers"), config.get("output_layers")
    if ends is None and isinstance(layers, list) and layers and isinstance(layers[-1], dict):
        inner = layers[-1].get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        return name if isinstance(name, str) else None
    while isinstance(ends, list) and len(ends) == 1:
        (ends,) = ends
    return ends[0] if isinstance(ends, list) and ends and isinstance(ends[0], str) else None


def _only(value: Any, name: str, *, is_list: bool) -> Any:
    """The value in `[...]` or `{name: ...}` for the only output; for metrics that is a list."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) >= is_list:
        return value[0]
    if _is_by_name(value) and list(value) == [name]:
        return value[name]
    return value


def _each_a_list(metrics: Any) -> Any:
    """The metrics of several outputs, with a list for each."""
    if isinstance(metrics, list) and any(
        isinstance(part, list) or part is None for part in metrics
    ):
        return [_as_list(part) for part in metrics]
    if _is_by_name(metrics):
        lists = {name: _as_list(part) for name, part in metrics.items()}
        return {name: part for name, part in lists.items() if part != []}
    return metrics


def _as_list(metrics: Any) -> Any:
    if isinstance(metrics, list) or is_space(metrics):
        return metrics
    return [] if metrics is None else [metrics]


def _are_ones(weights: Any, loss: Any) -> bool:
    """Whether all weights are 1; a mapping only if its keys are those of the loss."""
    if _is_by_name(weights) and _is_by_name(loss) and set(weights) == set(loss):
        return all(weight == 1 for weight in weights.values())
    if isinstance(weights, list):
        return bool(weights) and all(weight == 1 for weight in weights)
    return isinstance(weights, float) and weights == 1


def _is_by_name(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" not in value and not is_space(value)

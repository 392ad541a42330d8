"""The kind of value that an argument of a loss, metric, initializer, ... takes.

Keras checks most of them only when the model is built, some in the middle of a fit.
"""

from __future__ import annotations

from typing import Any

from fitfleet.errors import SpecError

# These may be lists, whatever their default is.
_LISTS = ("axis", "value", "alpha")
_CHOICES: dict[str, tuple[Any, ...]] = {
    "reduction": ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None),
    "distribution": ("uniform", "truncated_normal", "untruncated_normal"),
    "curve": ("ROC", "PR", "PRGAIN"),
    "summation_method": ("interpolation", "minoring", "majoring"),
    "average": ("micro", "macro", "weighted", None),
}
_MODES = {
    "initializers": ("fan_in", "fan_out", "fan_avg"),
    "regularizers": ("rows", "columns"),
}
_POSITIVE = ("decay_steps", "first_decay_steps", "k", "scale")
_NUMBERS = ("initial_learning_rate", "decay_rate")


def check_kind(kind: str, argument: str, value: Any, default: Any, place: str) -> None:
    """Raises SpecError for a text where Keras takes a number, and similar.

    `kind` is that of the class, such as "losses", `default` Keras's default.
    """
    if kind == "layers":
        if isinstance(value, str) and _is_number(default):
            raise SpecError(place, f"{value!r:.40} is not a number")
        return
    known = _MODES.get(kind) if argument == "mode" else _CHOICES.get(argument)
    if known is not None:
        if value not in known:
            raise SpecError(place, f"{value!r:.40} is not one of {', '.join(map(str, known))}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise SpecError(place, f"{value!r:.40} is neither true nor false")
    elif argument in _POSITIVE:
        if not _is_number(value) or value <= 0:
            raise SpecError(place, f"{value!r:.40} is not a positive number")
    elif (_is_number(default) or argument in _NUMBERS) and not _is_number(value):
        if argument not in _LISTS or not isinstance(value, list):
            raise SpecError(place, f"{value!r:.40} is not a number")
    elif argument == "label_smoothing" and not 0 <= value <= 1:
        raise SpecError(place, f"{value!r:.40} is not a number from 0 to 1")


def check_pieces(config: dict[str, Any], place: str) -> None:
    """Raises SpecError for a PiecewiseConstantDecay without a rate for each piece."""
    boundaries, values = config.get("boundaries"), config.get("values")
    lists = isinstance(boundaries, list) and isinstance(values, list)
    if not lists or len(values or []) != len(boundaries or []) + 1:
        raise SpecError(
            f"{place}.values", "there is one more of them than of boundaries, a rate for each piece"
        )
    if not all(map(_is_number, [*(boundaries or []), *(values or [])])):
        raise SpecError(place, "boundaries and values are numbers")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

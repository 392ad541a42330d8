"""Bounds on the arguments of layers, which Keras would refuse late or not finish computing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.cost import check_iterations

MAX_VOCABULARY = 5_000_000
MAX_DIMENSION = 65_536
MAX_WINDOW = 1024
MAX_REPEATS = 10_000

_UNITS = ("units", "filters", "output_dim", "num_heads", "key_dim", "value_dim", "head_dim")
_HEADS = ("num_query_heads", "num_key_value_heads")
_WINDOWS = ("kernel_size", "pool_size", "strides", "dilation_rate", "size")
_RATES = ("rate", "dropout", "recurrent_dropout")
_FLAGS = (
    "use_bias",
    "return_sequences",
    "return_state",
    "stateful",
    "go_backwards",
    "unroll",
    "mask_zero",
    "trainable",
    "keepdims",
    "center",
    "scale",
    "unit_forget_bias",
    "reset_after",
    "use_scale",
    "normalize",
)
_CHOICES: dict[str, tuple[Any, ...]] = {
    "padding": ("valid", "same", "causal"),
    "merge_mode": ("sum", "mul", "concat", "ave", None),
    "data_format": ("channels_last", "channels_first", None),
    "score_mode": ("dot", "concat"),
}
_EQUATION = re.compile(r"[A-Za-z.]{1,20},[A-Za-z]{1,20}->[A-Za-z.]{1,20}")
_FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")
_INPUT_DTYPES = (*_FLOAT_DTYPES[:4], *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)))


_ENCODINGS = ("CategoryEncoding", "Discretization", "IntegerLookup", "Hashing", "HashedCrossing")
# Arguments that Keras would otherwise compute from data, by adapt().
_WANTED = {
    "IntegerLookup": ("vocabulary",),
    "StringLookup": ("vocabulary",),
    "TextVectorization": ("vocabulary",),
    "Discretization": ("bin_boundaries",),
}
_OR_ADAPT = "or submit with adapt=True: the worker calls adapt() on the training rows"
_OF_TEXT = ("StringLookup", "TextVectorization")


def check_arguments(
    layer: dict[str, Any], place: str, settings: Settings, *, is_adapted: bool = False
) -> None:
    """Raises SpecError for an argument of a built-in layer that is out of bounds.

    `is_adapted`: a worker will compute these arguments by `adapt`.
    """
    name = str(layer["class_name"])
    config = layer.get("config") or {}
    wanted = _WANTED.get(name, ())
    if is_adapted:
        config = {key: value for key, value in config.items() if key not in wanted}
    for argument in () if is_adapted else wanted:
        _check_argument(name, argument, config.get(argument), f"{place}.{argument}", settings)
    for argument, value in config.items():
        at = f"{place}.{argument}"
        if name == "InputLayer":
            _check_input(argument, value, at)
        elif argument == "dtype" and name in _ENCODINGS and value in _INPUT_DTYPES:
            continue  # their codes are integers
        else:
            _check_argument(name, argument, value, at, settings)


def _check_argument(name: str, argument: str, value: Any, place: str, settings: Settings) -> None:
    if argument in _UNITS or argument in _HEADS:
        if value is not None or argument not in ("value_dim",):
            _check_size(value, place, settings.max_units)
    elif argument in _WINDOWS:
        if value is not None:
            _each(value, place, lambda part, at: _check_size(part, at, MAX_WINDOW))
    elif argument in _RATES:
        _check_rate(value, place)
    elif argument in _FLAGS:
        _check_flag(name, argument, value, place)
    elif argument in _CHOICES and not name.startswith("ZeroPadding"):
        _check_choice(argument, value, place)
    elif name in _OF_TEXT and argument in _TEXTS:
        _TEXTS[argument](value, place)
    elif argument == "power_iterations":
        check_iterations(value, place, settings)
    elif argument in _MORE:
        _MORE[argument](value, place)
    elif isinstance(value, list):
        _each(value, place, _check_bounded)
    else:
        _check_bounded(value, place)


def _check_flag(name: str, argument: str, value: Any, place: str) -> None:
    if not isinstance(value, bool) and not (name == "Rescaling" and argument == "scale"):
        raise SpecError(place, f"{value!r:.40} is neither true nor false")


def _check_choice(argument: str, value: Any, place: str) -> None:
    if value not in _CHOICES[argument]:
        known = ", ".join(str(part) for part in _CHOICES[argument])
        raise SpecError(place, f"{value!r:.40} is not one of {known}")


def _check_input(argument: str, value: Any, place: str) -> None:
    if argument in ("batch_shape", "shape"):
        place = f"{place.rsplit('.', 1)[0]}.shape"
        if not isinstance(value, list) or not 1 <= len(value) <= 6:
            raise SpecError(place, f"{value!r:.40} is not a list of up to 5 dimensions")
        for size in value:
            if size is not None:
                _check_size(size, place, MAX_DIMENSION)
    elif argument == "dtype" and value not in (*_INPUT_DTYPES, "bool", "string", None):
        raise SpecError(place, f"{value!r:.40} is not a dtype of an input")
    elif argument in ("sparse", "ragged") and value:
        raise SpecError(place, f"{argument} inputs are not supported")


def _each(value: Any, place: str, check: Callable[[Any, str], None]) -> None:
    for part in value if isinstance(value, list) else [value]:
        check(part, place)


def _check_size(value: Any, place: str, limit: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(place, f"{value!r:.40} is not a positive integer")
    if value > limit:
        raise SpecError(place, f"{value:,} is more than the {limit:,} allowed")


def _check_rate(value: Any, place: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1:
        raise SpecError(place, f"{value!r:.40} is not a number from 0 to below 1")


def _check_bounded(value: Any, place: str) -> None:
    """Check any other number: no layer takes one larger than a vocabulary."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_VOCABULARY:
        raise SpecError(place, f"{value:,} is out of range")


def _check_seed(value: Any, place: str) -> None:
    if value is not None and (type(value) is not int or not 0 <= value < 2**31):
        raise SpecError(place, f"{value!r:.40} is not a seed: an integer of 0 or more")


def _check_dtype(value: Any, place: str) -> None:
    if value is not None and value not in _FLOAT_DTYPES:
        raise SpecError(place, f"{value!r:.40} is not a dtype; {', '.join(_FLOAT_DTYPES)}")


def _check_target_shape(value: Any, place: str) -> None:
    if not isinstance(value, list) or not value or value.count(-1) > 1:
        raise SpecError(place, f"{value!r:.40} is not a list of dimensions")
    for part in value:
        if part != -1:
            _check_size(part, place, MAX_VOCABULARY)


def _check_vocabulary(value: Any, place: str) -> None:
    _check_size(value, place, MAX_VOCABULARY)


def _check_repeats(value: Any, place: str) -> None:
    _check_size(value, place, MAX_REPEATS)


def _check_groups(value: Any, place: str) -> None:
    if value != -1:  # GroupNormalization: one group for each channel
        _check_size(value, place, MAX_DIMENSION)


def _check_dims(value: Any, place: str) -> None:
    if not isinstance(value, list) or sorted(map(str, value)) != sorted(
        str(i) for i in range(1, len(value) + 1)
    ):
        raise SpecError(place, f"{value!r:.40} is not an order of the dimensions 1, 2, ...")


def _check_sizes(value: Any, place: str) -> None:
    _each(value, place, lambda part, at: _check_size(part, at, MAX_DIMENSION))


def _check_equation(value: Any, place: str) -> None:
    if not isinstance(value, str) or not _EQUATION.fullmatch(value):
        raise SpecError(place, f"{value!r:.40} is not an equation such as 'ab,bc->ac'")


def _check_terms(value: Any, place: str) -> None:
    """Check a vocabulary, which must be a list: Keras would read a text as the path of a file."""
    if value is None:
        raise SpecError(place, f"give the vocabulary as a list, {_OR_ADAPT}")
    if not isinstance(value, list) or not all(type(part) is int for part in value):
        raise SpecError(place, "a vocabulary is a list of integers, never the path of a file")


def _check_words(value: Any, place: str) -> None:
    """Check a vocabulary of words, which must be a list: Keras would read a text as a path."""
    if value is None:
        raise SpecError(place, f"give the vocabulary as a list of words, {_OR_ADAPT}")
    if not isinstance(value, list) or not all(type(part) is str for part in value):
        raise SpecError(place, "a vocabulary is a list of words, never the path of a file")
    if len(set(value)) != len(value):
        raise SpecError(place, "a word appears twice in the vocabulary; give each once")


def _one_of(*known: Any) -> Callable[[Any, str], None]:
    def check(value: Any, place: str) -> None:
        if isinstance(value, dict):  # of a trusted module, which `allow` has checked
            return
        if not any(value is choice or value == choice for choice in known):
            raise SpecError(place, f"{value!r:.40} is not one of {', '.join(map(str, known))}")

    return check


def _check_weights(value: Any, place: str) -> None:
    if value is not None:
        _check_numbers(value, place)


_TEXTS: dict[str, Callable[[Any, str], None]] = {
    "vocabulary": _check_words,
    "idf_weights": _check_weights,
    "output_mode": _one_of("int", "one_hot", "multi_hot", "count", "tf_idf"),
    "standardize": _one_of("lower_and_strip_punctuation", "lower", "strip_punctuation", None),
    "split": _one_of("whitespace", "character", None),
    "encoding": _one_of("utf-8"),
    "invert": _one_of(False),  # its output would be text
    **dict.fromkeys(("ragged", "sparse"), _one_of(False, None)),
}


def _check_numbers(value: Any, place: str) -> None:
    if value is None:
        raise SpecError(place, f"give the boundaries as a list, {_OR_ADAPT}")
    is_list = isinstance(value, list) and value
    if not is_list or not all(isinstance(part, int | float) for part in value):
        raise SpecError(place, f"{value!r:.40} is not a list of numbers")


_MORE: dict[str, Callable[[Any, str], None]] = {
    "input_dim": _check_vocabulary,
    "n": _check_repeats,
    "groups": _check_groups,
    "depth_multiplier": _check_repeats,
    "height": _check_repeats,
    "width": _check_repeats,
    "target_shape": _check_target_shape,
    "dims": _check_dims,
    "seed": _check_seed,
    "output_size": _check_sizes,
    "num_bins": _check_vocabulary,
    "num_tokens": _check_vocabulary,
    "projection_dim": _check_vocabulary,
    "equation": _check_equation,
    "vocabulary": _check_terms,
    "bin_boundaries": _check_numbers,
    "dtype": _check_dtype,
}

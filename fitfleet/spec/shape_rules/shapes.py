"""Output shapes and numbers of weights of Keras's layers, without Keras.

A shape is without the batch dimension, with None for a dimension of any size. An unknown shape or
number is None. Rules are in files by topic: this one, `sliding_windows` (convolutions, pooling,
padding), `recurrent` and `merging`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Outcome:
    """The shapes of the outputs and the number of weights, None if unknown.

    `cells` is the number of copies of a cell in an unrolled layer, None if unknown; `calls` the
    number of calls of layers.
    """

    shapes: tuple[Shape | None, ...]
    weights: int | None = 0
    cells: int | None = 0
    calls: int = 1

    @property
    def shape(self) -> Shape | None:
        """The shape of the first output."""
        return self.shapes[0] if self.shapes else None


Config = dict[str, Any]
Inputs = Sequence[Shape | None]
Rule = Callable[[str, Config, Inputs], Outcome]

UNKNOWN = Outcome((None,), None)


def single(shape: Shape | None, weights: int | None = 0) -> Outcome:
    """The outcome of a layer with one output."""
    return Outcome((shape,), weights)


def first(inputs: Inputs) -> Shape | None:
    """The shape of the first input."""
    return inputs[0] if inputs else None


def size_at(shape: Shape | None, axis: int) -> int | None:
    """The size of an axis, counted as Keras does, with the batch as axis 0."""
    if shape is None:
        return None
    index = axis if axis < 0 else axis - 1
    return shape[index] if -len(shape) <= index < len(shape) and axis != 0 else None


def has_bias(config: Config) -> int:
    """1 or 0, the number of biases."""
    return int(bool(config.get("use_bias", True)))


def _same(_: str, __: Config, inputs: Inputs) -> Outcome:
    return single(first(inputs))


def _dense(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape, units = first(inputs), int(config["units"])
    if not shape:
        return single(None, None)
    weights = None if shape[-1] is None else (shape[-1] + has_bias(config)) * units
    return single((*shape[:-1], units), weights)


def _embedding(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape, size = first(inputs), int(config["output_dim"])
    return single(None if shape is None else (*shape, size), int(config["input_dim"]) * size)


def _normalisation(name: str, config: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    axes = config.get("axis", -1)
    sizes = [size_at(shape, axis) for axis in (axes if isinstance(axes, list) else [axes])]
    if shape is None or None in sizes:
        return single(shape, None)
    vectors = int(bool(config.get("scale", True)))
    if name != "RMSNormalization" and not config.get("rms_scaling"):
        vectors += int(bool(config.get("center", True)))
    else:
        vectors = 1
    if name == "BatchNormalization":
        vectors += 5 if config.get("renorm") else 2
    return single(shape, vectors * prod(size for size in sizes if size is not None))


def _prelu(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    if shape is None:
        return single(None, None)
    shared = {axis - 1 for axis in _list(config.get("shared_axes"))}
    sizes = [1 if i in shared else size for i, size in enumerate(shape)]
    weights = None if None in sizes else prod(size for size in sizes if size is not None)
    return single(shape, weights)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _flatten(_: str, __: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    if shape is None:
        return single(None)
    return single((None,) if None in shape else (_product(shape),))


def _product(shape: Sequence[int | None]) -> int:
    return prod(size for size in shape if size is not None)


def _reshape(_: str, config: Config, inputs: Inputs) -> Outcome:
    target, shape = list(config["target_shape"]), first(inputs)
    if -1 not in target:
        return single(tuple(target))
    if shape is None or None in shape:
        return single(tuple(None if size == -1 else size for size in target))
    known = max(_product([size for size in target if size != -1]), 1)
    return single(tuple(_product(shape) // known if size == -1 else size for size in target))


def _repeat(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    return single(None if shape is None else (int(config["n"]), *shape))


def _permute(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape, dims = first(inputs), list(config["dims"])
    if shape is None or sorted(dims) != list(range(1, len(shape) + 1)):
        return single(None)
    return single(tuple(shape[d - 1] for d in dims))


def _spectral(_: str, config: Config, inputs: Inputs) -> Outcome:
    """The outcome of the wrapped layer, and a vector of the size of its kernel's last dimension."""
    inner = config.get("layer") or {}
    outcome = layer_outcome(inner, inputs)
    size = (inner.get("config") or {}).get("units") or (inner.get("config") or {}).get("filters")
    if outcome.weights is None or not isinstance(size, int):
        return Outcome(outcome.shapes, None)
    return Outcome(outcome.shapes, outcome.weights + size)


def _resized(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    if shape is None or len(shape) != 3:
        return single(None)
    size = (int(config["height"]), int(config["width"]))
    if config.get("data_format") == "channels_first":
        return single((shape[0], *size))
    return single((*size, shape[2]))


def _adapted(_: str, config: Config, inputs: Inputs) -> Outcome:
    """Normalization: mean, variance and a count are weights unless they are arguments."""
    shape = first(inputs)
    if config.get("mean") is not None:
        return single(shape)
    axes = config.get("axis")
    sizes = [size_at(shape, axis) for axis in _list(axes)]
    known = None if shape is None or None in sizes else 2 * _product(sizes) + 1
    return single(shape, known)


def _encoded(name: str, config: Config, inputs: Inputs) -> Outcome:
    """Category codes; with one_hot, multi_hot or count a vector in place of the last axis."""
    shape, mode = first(inputs), config.get("output_mode", "int")
    if mode == "int" or shape is None:
        return single(shape)
    vocabulary = config.get("vocabulary") or ()
    depths = {
        "CategoryEncoding": config.get("num_tokens"),
        "Discretization": len(config.get("bin_boundaries") or ()) + 1,
        **dict.fromkeys(_LOOKUPS, len(vocabulary) + int(config.get("num_oov_indices", 1))),
    }
    depth = depths.get(name, config.get("num_bins"))
    if name in _LOOKUPS and (config.get("pad_to_max_tokens") or config.get("mask_token")):
        return single(None)
    is_open = {"Discretization": "bin_boundaries", **dict.fromkeys(_LOOKUPS, "vocabulary")}
    if name in is_open and config.get(is_open[name]) is None:
        depth = None  # not known before it is adapted
    if mode == "one_hot" and shape[-1:] != (1,):
        return single((*shape, depth))
    return single((*shape[:-1], depth))


def _tokens(_: str, config: Config, inputs: Inputs) -> Outcome:
    """Word indices, padded to a length, or a vector of the size of the vocabulary."""
    if config.get("output_mode", "int") == "int":
        return single((config.get("output_sequence_length"),))
    if config.get("pad_to_max_tokens") or config.get("split", "whitespace") is None:
        return single(None)
    vocabulary = config.get("vocabulary")
    return single((None,) if vocabulary is None else (len(vocabulary) + 1,))


def _scaled(_: str, config: Config, inputs: Inputs) -> Outcome:
    return single(first(inputs), int(config["projection_dim"]))


SAME_SHAPE = """
    StochasticDepth CustomScaleLayer TFDIdentity
    Dropout AlphaDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise
    GaussianDropout ActivityRegularization Activation ReLU LeakyReLU ELU Softmax Masking Identity
    UnitNormalization Rescaling
    RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast
    RandomBrightness RandomHue RandomSaturation RandomGrayscale RandomErasing
    RandomInvert RandomGaussianBlur
""".split()  # noqa: SIM905
_LOOKUPS = ("IntegerLookup", "StringLookup")
_ENCODINGS = ("CategoryEncoding", "Discretization", *_LOOKUPS, "Hashing", "HashedCrossing")
_NORMALISATIONS = ("BatchNormalization", "LayerNormalization", "GroupNormalization")


def _rules() -> dict[str, Rule]:
    from fitfleet.spec.shape_rules import merging, recurrent, sliding_windows

    return {
        **dict.fromkeys(SAME_SHAPE, _same),
        **dict.fromkeys((*_NORMALISATIONS, "RMSNormalization"), _normalisation),
        "Dense": _dense,
        "Embedding": _embedding,
        "PReLU": _prelu,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "RepeatVector": _repeat,
        "Permute": _permute,
        "SpectralNormalization": _spectral,
        "Normalization": _adapted,
        "TextVectorization": _tokens,
        "LayerScale": _scaled,
        **dict.fromkeys(_ENCODINGS, _encoded),
        "Resizing": _resized,
        "CenterCrop": _resized,
        "RandomCrop": _resized,
        **sliding_windows.RULES,
        **recurrent.RULES,
        **merging.RULES,
    }


_known: dict[str, Rule] = {}


def layer_outcome(layer: dict[str, Any], inputs: Inputs) -> Outcome:
    """The outcome of a layer for inputs of these shapes; UNKNOWN for a layer without a rule.

    `layer` is its canonical config: arguments left out have Keras's defaults.
    """
    from fitfleet.spec.keras_names import catalog

    if not _known:
        _known.update(_rules())
    name = str(layer.get("class_name"))
    rule = _known.get(name)
    signature = catalog.signature("layers", name)
    if rule is None or signature is None or layer.get("module") != signature.module:
        return UNKNOWN
    return rule(name, {**signature.defaults, **(layer.get("config") or {})}, inputs)

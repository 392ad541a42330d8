"""What the matrix of equality is made of: every layer, loss, metric and optimizer in a branch.

A branch is a little net from a shared input to one output. Branches share no weights, so several
of them make one model, and a difference is told by the branch in which it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import nets
import numpy as np

from fitfleet.data.arrays import Arrays

L, ops = keras.layers, keras.ops
ROWS, STEPS = 20, 6
_VALIDATED = 7
INPUTS: dict[str, tuple[int, ...]] = {
    "series": (STEPS, 4),
    "part": (STEPS, 4),  # as series, but of each row a step is left by a mask
    "image": (6, 6, 2),
    "volume": (4, 4, 4, 2),
    "film": (3, 5, 5, 2),
    "strip": (3, 5, 2),
    "blocks": (2, 3, 3, 3, 2),
}


@dataclass
class Branch:
    """`build` makes the output of its input; the target and its weights may be by the step."""

    name: str
    source: str
    build: Callable[[Any], Any]
    loss: Any = "mse"
    target: Any = None  # drawn in the shape of the output when it is not given
    metrics: Sequence[Any] = ()
    weighted: str = ""  # "", "rows", "steps", or "finest": steps where the output has them
    more: dict[str, Any] = field(default_factory=dict)


def net(branches: Sequence[Branch], *, optimizer: Any = "sgd", **given: Any) -> nets.Net:
    """One model of several branches, its outputs named b0, b1, ...

    With class weights it is one branch, whose output and target have no name: so Keras wants them.
    """
    if "class_weight" in given:
        (branch,) = branches
        return _classified(branch, optimizer=optimizer, **given)
    sources = sorted({b.source for b in branches})
    model = _model(branches, sources)
    targets, weights = {}, {}
    for index, branch in enumerate(branches):
        shape = tuple(model.output[f"b{index}"].shape[1:])
        target = branch.target(shape) if callable(branch.target) else branch.target
        targets[f"b{index}"] = _draw(f"y{index}", ROWS, *shape) if target is None else target
        if branch.weighted:
            has_steps = len(shape) == 2 and branch.weighted != "rows"
            steps = shape[:1] if has_steps else ()
            weights[f"b{index}"] = _draw(f"w{index}", ROWS, *steps) * 2
    arrays = _arrays({name: _input(name) for name in sources}, targets, weights)
    metrics = {f"b{i}": list(b.metrics) for i, b in enumerate(branches)}
    arguments = {
        "loss": {f"b{i}": b.loss for i, b in enumerate(branches)},
        "metrics": metrics if any(metrics.values()) else None,
        "weighted_metrics": metrics if any(metrics.values()) and weights else None,
        "optimizer": optimizer,
        **given,
    }
    return nets.Net(lambda: model, arrays, {k: v for k, v in arguments.items() if v is not None})


def _classified(branch: Branch, **given: Any) -> nets.Net:
    source = keras.Input(INPUTS[branch.source], name=branch.source)
    model = keras.Model(source, L.Activation("linear", name="b0")(branch.build(source)))
    x, y = _input(branch.source), branch.target(tuple(model.output.shape[1:]))
    arrays = Arrays(x=x, y=y, x_val=x[:_VALIDATED], y_val=y[:_VALIDATED])
    arguments = {"loss": branch.loss, **given}
    if branch.metrics:
        arguments |= {"metrics": list(branch.metrics), "weighted_metrics": list(branch.metrics)}
    return nets.Net(lambda: model, arrays, arguments)


def _model(branches: Sequence[Branch], sources: Sequence[str]) -> Any:
    inputs = {
        name: keras.Input((STEPS,), dtype="int32", name=name)
        if name.endswith("words")
        else keras.Input(INPUTS[name], name=name)
        for name in sources
    }
    outputs = {}
    for index, branch in enumerate(branches):
        output = branch.build(inputs[branch.source])
        outputs[f"b{index}"] = L.Activation("linear", name=f"b{index}")(output)
    return keras.Model(inputs, outputs)


def _arrays(x: Any, y: Any, weights: Any) -> Arrays:
    def first(part: Any) -> Any:
        return {name: value[:_VALIDATED] for name, value in part.items()}

    # Keras wants a weight for every output or for none.
    whole = {name: weights.get(name, np.ones(ROWS, "float32")) for name in y} if weights else None
    return Arrays(
        x=x,
        y=y,
        sample_weight=whole,
        x_val=first(x),
        y_val=first(y),
        sample_weight_val=first(whole) if whole else None,
    )


def _draw(name: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).random(shape, dtype="float32")


def _input(name: str) -> np.ndarray:
    """Some rows end early and one is all zeros, for the masks: its mean over steps is 0 / 0."""
    generator = np.random.default_rng(len(name))
    if name.endswith("words"):
        values = generator.integers(1, 9, (ROWS, STEPS))
    else:
        values = generator.normal(size=(ROWS, *INPUTS[name])).astype("float32")
    if name in ("words", "part_words", "series", "part"):
        values[::3, 4:] = 0
        values[1, :2] = 0
    if name in ("words", "series"):
        values[5] = 0
    return values


def rows_or_steps(tensor: Any) -> Any:
    """Two numbers for each step where the steps are still there, else for each row."""
    if len(tensor.shape) == 3 and tensor.shape[1] == STEPS:
        return L.Dense(2)(tensor)
    return L.Dense(2)(tensor if len(tensor.shape) == 2 else L.Flatten()(tensor))


def _series(make: Callable[[Any], Any], *, masked: bool) -> Callable[[Any], Any]:
    def build(series: Any) -> Any:
        hidden = L.Masking()(series) if masked else series
        return rows_or_steps(make(L.Dense(4, activation="tanh")(hidden)))

    return build


def _spatial(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Between two layers, so that gradients pass through it."""
    return lambda source: rows_or_steps(make(L.Dense(2, activation="tanh")(source)))


SERIES: dict[str, Callable[[Any], Any]] = {
    "Dense": lambda h: L.Dense(3, activation="relu")(h),
    "EinsumDense": lambda h: L.EinsumDense("abc,cd->abd", (STEPS, 3), bias_axes="d")(h),
    "Activation": lambda h: L.Activation("gelu")(h),
    "LSTM": lambda h: L.LSTM(3, return_sequences=True)(h),
    "LSTM last": lambda h: L.LSTM(3)(h),
    "LSTM dropout": lambda h: L.LSTM(3, dropout=0.3, recurrent_dropout=0.2)(h),
    "LSTM backwards": lambda h: L.LSTM(3, go_backwards=True, return_sequences=True)(h),
    "LSTM unrolled": lambda h: L.LSTM(3, unroll=True, return_sequences=True)(h),
    "LSTM states": lambda h: L.LSTM(4)(h, initial_state=list(L.LSTM(4, return_state=True)(h)[1:])),
    "GRU": lambda h: L.GRU(3, return_sequences=True)(h),
    "GRU last": lambda h: L.GRU(3)(h),
    "GRU before": lambda h: L.GRU(3, reset_after=False)(h),
    "SimpleRNN": lambda h: L.SimpleRNN(3, return_sequences=True)(h),
    "RNN": lambda h: L.RNN(L.LSTMCell(3), return_sequences=True)(h),
    "RNN GRUCell": lambda h: L.RNN(L.GRUCell(3))(h),
    "StackedRNNCells": lambda h: L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.SimpleRNNCell(3)]))(h),
    "Bidirectional": lambda h: L.Bidirectional(L.LSTM(3, return_sequences=True))(h),
    "Bidirectional GRU": lambda h: L.Bidirectional(L.GRU(3), merge_mode="ave")(h),
    "TimeDistributed": lambda h: L.TimeDistributed(L.Dense(3, activation="relu"))(h),
    "BatchNormalization": lambda h: L.BatchNormalization()(h),
    "LayerNormalization": lambda h: L.LayerNormalization()(h),
    "GroupNormalization": lambda h: L.GroupNormalization(2)(h),
    "RMSNormalization": lambda h: L.RMSNormalization()(h),
    "UnitNormalization": lambda h: L.UnitNormalization()(h),
    "SpectralNormalization": lambda h: L.SpectralNormalization(L.Dense(3))(h),
    "Dropout": lambda h: L.Dropout(0.4)(h),
    "SpatialDropout1D": lambda h: L.SpatialDropout1D(0.4)(h),
    "GaussianNoise": lambda h: L.GaussianNoise(0.3)(h),
    "GaussianDropout": lambda h: L.GaussianDropout(0.3)(h),
    "AlphaDropout": lambda h: L.AlphaDropout(0.3)(h),
    "MaxPooling1D": lambda h: L.MaxPooling1D(2)(h),
    "AveragePooling1D": lambda h: L.AveragePooling1D(2)(h),
    "GlobalAveragePooling1D": lambda h: L.GlobalAveragePooling1D()(h),
    "GlobalMaxPooling1D": lambda h: L.GlobalMaxPooling1D()(h),
    "Conv1D": lambda h: L.Conv1D(3, 3, padding="same")(h),
    "Conv1D causal": lambda h: L.Conv1D(3, 2, padding="causal", dilation_rate=2)(h),
    "Conv1DTranspose": lambda h: L.Conv1DTranspose(3, 2)(h),
    "SeparableConv1D": lambda h: L.SeparableConv1D(3, 2)(h),
    "DepthwiseConv1D": lambda h: L.DepthwiseConv1D(2)(h),
    "Cropping1D": lambda h: L.Cropping1D(1)(h),
    "ZeroPadding1D": lambda h: L.ZeroPadding1D(1)(h),
    "UpSampling1D": lambda h: L.UpSampling1D(2)(h),
    "Flatten": lambda h: L.Flatten()(h),
    "Reshape": lambda h: L.Reshape((STEPS * 4,))(h),
    "Permute": lambda h: L.Permute((2, 1))(h),
    "RepeatVector": lambda h: L.RepeatVector(3)(L.LSTM(3)(h)),
    "Identity": lambda h: L.Identity()(h),
    "Rescaling": lambda h: L.Rescaling(0.5, 0.1)(h),
    "Softmax": lambda h: L.Softmax()(h),
    "PReLU": lambda h: L.PReLU()(h),
    "ELU": lambda h: L.ELU()(h),
    "ReLU": lambda h: L.ReLU(negative_slope=0.1)(h),
    "LeakyReLU": lambda h: L.LeakyReLU()(h),
    "Add": lambda h: L.Add()([h, L.Dense(4)(h)]),
    "Subtract": lambda h: L.Subtract()([h, L.Dense(4)(h)]),
    "Multiply": lambda h: L.Multiply()([h, L.Dense(4)(h)]),
    "Average": lambda h: L.Average()([h, L.Dense(4)(h)]),
    "Maximum": lambda h: L.Maximum()([h, L.Dense(4)(h)]),
    "Minimum": lambda h: L.Minimum()([h, L.Dense(4)(h)]),
    "Concatenate": lambda h: L.Concatenate()([h, L.Dense(4)(h)]),
    "Dot": lambda h: L.Dot(2)([h, L.Dense(4)(h)]),
    "Attention": lambda h: L.Attention(use_scale=True)([h, L.Dense(4)(h)]),
    "AdditiveAttention": lambda h: L.AdditiveAttention()([h, L.Dense(4)(h)]),
    "MultiHeadAttention": lambda h: L.MultiHeadAttention(2, 3)(h, h),
    "MultiHeadAttention causal": lambda h: L.MultiHeadAttention(2, 3, dropout=0.2)(
        h, h, use_causal_mask=True
    ),
    "GroupQueryAttention": lambda h: L.GroupQueryAttention(3, 4, 2)(h, h),
    "regularised": lambda h: L.Dense(
        4, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2"
    )(h),
    "OrthogonalRegularizer": lambda h: L.Dense(
        4, kernel_regularizer=keras.regularizers.OrthogonalRegularizer()
    )(h),
    "activity": lambda h: L.Dense(4, activity_regularizer="l2")(h),
    "ActivityRegularization": lambda h: L.ActivityRegularization(l2=0.1)(h),
    "MaxNorm": lambda h: L.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.5))(h),
    "MinMaxNorm": lambda h: L.Dense(4, kernel_constraint=keras.constraints.MinMaxNorm())(h),
    "NonNeg": lambda h: L.Dense(4, kernel_constraint="non_neg")(h),
    "UnitNorm": lambda h: L.Dense(4, kernel_constraint="unit_norm")(h),
    "residual": lambda h: L.LayerNormalization()(h + L.MultiHeadAttention(2, 3)(h, h)),
    "residual Add": lambda h: L.LayerNormalization()(
        L.Add()([h, L.MultiHeadAttention(2, 3)(h, h)])
    ),
    "three uses": lambda h: L.Add()([L.Dense(4)(h), L.Dense(4)(h), L.Dense(4)(h)]),
    "nested model": lambda h: keras.Sequential(
        [keras.Input((STEPS, 4)), L.LSTM(3, return_sequences=True), L.Dense(3)]
    )(h),
    "Masking": lambda h: L.GRU(3, return_sequences=True)(L.Masking()(h)),
    # What a merging layer makes of masks is part of the graph where a layer takes them.
    "LSTM after Add": lambda h: L.LSTM(3)(L.Add()([h, L.Dense(4)(h)])),
    "LSTM after Concatenate": lambda h: L.LSTM(3)(L.Concatenate()([h, L.Dense(4)(h)])),
    "pooling after Attention": lambda h: L.GlobalAveragePooling1D()(
        L.Attention()([h, L.Dense(4)(h)])
    ),
    "LSTM after Concatenate of one mask": lambda h: L.LSTM(3)(L.Concatenate()([h, h * 2.0])),
}

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "+": lambda h: h + L.Dense(4)(h),
    "-": lambda h: h - L.Dense(4)(h),
    "*": lambda h: h * L.Dense(4, activation="sigmoid")(h),
    "/": lambda h: h / (L.Dense(4, activation="sigmoid")(h) + 1.0),
    "**": lambda h: h**2,
    "neg, abs": lambda h: abs(-h),
    "matmul": lambda h: ops.matmul(h, ops.transpose(L.Dense(4)(h), (0, 2, 1))),
    "getitem": lambda h: h[:, 1:3],
    "reshape": lambda h: ops.reshape(h, (-1, STEPS * 4)),
    "expand, squeeze": lambda h: ops.squeeze(ops.expand_dims(h, -1), -1),
    "mean": lambda h: ops.mean(h, axis=1),
    "sum": lambda h: ops.sum(h, axis=1),
    "max": lambda h: ops.max(h, axis=1),
    "min": lambda h: ops.min(h, axis=1),
    "clip": lambda h: ops.clip(h, -0.3, 0.3),
    "stack": lambda h: ops.stack([h, L.Dense(4)(h)], axis=1),
    "concatenate": lambda h: ops.concatenate([h, L.Dense(4)(h)], axis=1),
    "softmax": lambda h: ops.softmax(h),
    "relu, sigmoid": lambda h: ops.sigmoid(ops.relu(h)),
    "exp, log": lambda h: ops.log(1.0 + ops.exp(h)),
    "sqrt, square": lambda h: ops.sqrt(1.0 + ops.square(h)),
    "maximum": lambda h: ops.maximum(h, 0.1),
    "minimum": lambda h: ops.minimum(h, 0.1),
    "tanh, gelu": lambda h: ops.gelu(ops.tanh(h)),
    "silu, softplus": lambda h: ops.softplus(ops.silu(h)),
    "greater, cast": lambda h: h * ops.cast(ops.greater(h, 0.0), "float32"),
    "where, less": lambda h: ops.where(ops.less(h, 0.0), 0.1 * h, h),
    "not, and, equal": lambda h: ops.where(
        ops.logical_and(ops.logical_not(ops.equal(h, 0.0)), ops.less_equal(h, 0.5)), h, 0.2
    ),
    "einsum": lambda h: ops.einsum("abc,abd->acd", h, L.Dense(4)(h)),
    "split": lambda h: ops.add(*ops.split(h, 2, axis=-1)),
    "normalize, log_softmax": lambda h: ops.log_softmax(ops.normalize(h, axis=-1)),
    "var": lambda h: ops.var(h, axis=1),
    "sin, cos": lambda h: ops.sin(h) * ops.cos(h),
    "flip, roll": lambda h: ops.roll(ops.flip(h, axis=1), 1, axis=1),
    "cumsum": lambda h: ops.cumsum(h, axis=1),
    "erf, rsqrt": lambda h: ops.erf(h) * ops.rsqrt(1.0 + ops.square(h)),
    "tile, repeat": lambda h: ops.repeat(ops.tile(h, (1, 1, 2)), 2, axis=1),
    "swapaxes, moveaxis": lambda h: ops.moveaxis(ops.swapaxes(h, 1, 2), 1, 2),
    "pad, logsumexp": lambda h: ops.logsumexp(ops.pad(h, ((0, 0), (1, 1), (0, 0))), axis=1),
    "sign, floor": lambda h: h * ops.sign(h) + ops.floor(4 * h) * 0.1,
}

SPATIAL: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Conv2D": ("image", lambda h: L.Conv2D(3, 3)(h)),
    "Conv2D strides": ("image", lambda h: L.Conv2D(3, (3, 2), strides=2, padding="same")(h)),
    "Conv2D groups": ("image", lambda h: L.Conv2D(4, 3, groups=2)(h)),
    "Conv2DTranspose": ("image", lambda h: L.Conv2DTranspose(3, 2)(h)),
    "SeparableConv2D": ("image", lambda h: L.SeparableConv2D(3, 2)(h)),
    "DepthwiseConv2D": ("image", lambda h: L.DepthwiseConv2D(2)(h)),
    "MaxPooling2D": ("image", lambda h: L.MaxPooling2D()(h)),
    "AveragePooling2D": ("image", lambda h: L.AveragePooling2D(2)(h)),
    "GlobalAveragePooling2D": ("image", lambda h: L.GlobalAveragePooling2D()(h)),
    "GlobalMaxPooling2D": ("image", lambda h: L.GlobalMaxPooling2D()(h)),
    "BatchNormalization 2D": ("image", lambda h: L.BatchNormalization()(h)),
    "SpatialDropout2D": ("image", lambda h: L.SpatialDropout2D(0.4)(h)),
    "Cropping2D": ("image", lambda h: L.Cropping2D(1)(h)),
    "ZeroPadding2D": ("image", lambda h: L.ZeroPadding2D(1)(h)),
    "UpSampling2D": ("image", lambda h: L.UpSampling2D(2)(h)),
    "Resizing": ("image", lambda h: L.Resizing(4, 4)(h)),
    "CenterCrop": ("image", lambda h: L.CenterCrop(4, 4)(h)),
    "Conv3D": ("volume", lambda h: L.Conv3D(3, 2)(h)),
    "Conv3DTranspose": ("volume", lambda h: L.Conv3DTranspose(2, 2)(h)),
    "MaxPooling3D": ("volume", lambda h: L.MaxPooling3D()(h)),
    "AveragePooling3D": ("volume", lambda h: L.AveragePooling3D(2)(h)),
    "GlobalAveragePooling3D": ("volume", lambda h: L.GlobalAveragePooling3D()(h)),
    "GlobalMaxPooling3D": ("volume", lambda h: L.GlobalMaxPooling3D()(h)),
    "SpatialDropout3D": ("volume", lambda h: L.SpatialDropout3D(0.4)(h)),
    "Cropping3D": ("volume", lambda h: L.Cropping3D(1)(h)),
    "ZeroPadding3D": ("volume", lambda h: L.ZeroPadding3D(1)(h)),
    "UpSampling3D": ("volume", lambda h: L.UpSampling3D(2)(h)),
    "ConvLSTM1D": ("strip", lambda h: L.ConvLSTM1D(2, 2)(h)),
    "ConvLSTM2D": ("film", lambda h: L.ConvLSTM2D(2, 2)(h)),
    "ConvLSTM3D": ("blocks", lambda h: L.ConvLSTM3D(2, 2)(h)),
    "TimeDistributed Conv2D": ("film", lambda h: L.TimeDistributed(L.Conv2D(2, 2))(h)),
}


_POOLED = frozenset({"GlobalAveragePooling1D", "pooling after Attention"})  # NaN without a step


def layer_branches(*, masked: bool) -> list[Branch]:
    """Every layer; `masked` those of series behind a Masking, each step weighted."""
    weighted = "finest" if masked else ""
    branches = [
        Branch(
            f"layer {name}",
            "part" if masked and name in _POOLED else "series",
            _series(make, masked=masked),
            weighted=weighted,
        )
        for name, make in {**SERIES, **{f"op {k}": v for k, v in OPERATIONS.items()}}.items()
    ]
    if not masked:
        branches += [
            Branch(f"layer {name}", source, _spatial(make))
            for name, (source, make) in SPATIAL.items()
        ]
    return branches


def embedding_branches() -> list[Branch]:
    """Word numbers, whose gradients are sparse."""
    makes = {
        "Embedding": lambda w: L.Embedding(9, 4)(w),
        "Embedding masked": lambda w: L.LSTM(3, return_sequences=True)(
            L.Embedding(9, 4, mask_zero=True)(w)
        ),
        "Embedding to steps": lambda w: L.Embedding(9, 4, mask_zero=True)(w),
        "Embedding pooled": lambda w: L.GlobalAveragePooling1D()(
            L.Embedding(9, 4, mask_zero=True)(w)
        ),
        "Embedding twice": lambda w: (lambda e: L.Add()([e(w), e(w)]))(L.Embedding(9, 4)),
    }

    def a_row_or_step(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda words: rows_or_steps(make(words))

    return [
        Branch(
            f"layer {name}",
            "part_words" if name == "Embedding pooled" else "words",
            a_row_or_step(make),
        )
        for name, make in makes.items()
    ]

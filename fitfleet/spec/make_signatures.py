"""Write signatures.json from the Keras that is installed here.

For developers, after a change of the Keras version: `python -m fitfleet.spec.make_signatures`.
The table is data for the client, which never imports Keras; a test compares it with the
installed Keras. It is also the allow-list: what is not named here is refused.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from fitfleet.spec.floats import shortest

TABLE = Path(__file__).with_name("signatures.json")


def _names(text: str) -> list[str]:
    return text.split()


# Absent on purpose: Lambda, lookup and text layers (they read files or carry code), layers of
# other frameworks, and image augmentation (their random state is not ours to set).
LAYERS = _names("""
    InputLayer Dense EinsumDense Embedding Activation Masking Identity ReLU LeakyReLU ELU
    PReLU Softmax Dropout AlphaDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D
    GaussianNoise GaussianDropout ActivityRegularization Flatten Reshape Permute RepeatVector
    SimpleRNN GRU LSTM SimpleRNNCell GRUCell LSTMCell StackedRNNCells RNN ConvLSTM1D
    ConvLSTM2D ConvLSTM3D Bidirectional TimeDistributed Conv1D Conv2D Conv3D Conv1DTranspose
    Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D DepthwiseConv1D
    DepthwiseConv2D MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D
    AveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D BatchNormalization
    LayerNormalization GroupNormalization RMSNormalization UnitNormalization
    SpectralNormalization Add Subtract Multiply Average Maximum Minimum Concatenate Dot
    ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D UpSampling1D
    UpSampling2D UpSampling3D Attention AdditiveAttention MultiHeadAttention
    GroupQueryAttention Rescaling Resizing CenterCrop
""")
LOSSES = _names("""
    MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError
    CosineSimilarity Huber LogCosh Poisson KLDivergence BinaryCrossentropy
    BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy
    SparseCategoricalCrossentropy Hinge SquaredHinge CategoricalHinge Dice Tversky Circle CTC
    CategoricalGeneralizedCrossEntropy
""")
METRICS = _names("""
    Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy
    TopKCategoricalAccuracy SparseTopKCategoricalAccuracy MeanSquaredError
    RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError
    MeanSquaredLogarithmicError CosineSimilarity LogCoshError R2Score PearsonCorrelation
    ConcordanceCorrelation Poisson KLDivergence BinaryCrossentropy CategoricalCrossentropy
    SparseCategoricalCrossentropy Hinge SquaredHinge CategoricalHinge AUC Precision Recall
    PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity
    TruePositives TrueNegatives FalsePositives FalseNegatives F1Score FBetaScore IoU BinaryIoU
    MeanIoU OneHotIoU OneHotMeanIoU
""")
OPTIMIZERS = _names("""
    SGD RMSprop Adam AdamW Adadelta Adagrad Adamax Adafactor Nadam Ftrl Lion Lamb Muon
    ScheduleFreeAdamW
""")
SCHEDULES = _names("""
    ExponentialDecay CosineDecay CosineDecayRestarts PiecewiseConstantDecay PolynomialDecay
    InverseTimeDecay
""")
INITIALIZERS = _names("""
    Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling
    GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity
""")
REGULARIZERS = _names("""
    L1 L2 L1L2 OrthogonalRegularizer
""")
CONSTRAINTS = _names("""
    MaxNorm MinMaxNorm NonNeg UnitNorm
""")
CALLBACKS = _names("""
    EarlyStopping ReduceLROnPlateau LearningRateScheduler TerminateOnNaN
""")

# Arguments that carry weights, change the model after it is built, or name other objects.
REFUSED = {
    "weights",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
    "input_tensor",
    "registered_name",
    "gptq_unpacked_column_size",
}

CLASSES = {
    "layers": ("keras.layers", LAYERS),
    "losses": ("keras.losses", LOSSES),
    "metrics": ("keras.metrics", METRICS),
    "optimizers": ("keras.optimizers", OPTIMIZERS),
    "schedules": ("keras.optimizers.schedules", SCHEDULES),
    "initializers": ("keras.initializers", INITIALIZERS),
    "regularizers": ("keras.regularizers", REGULARIZERS),
    "constraints": ("keras.constraints", CONSTRAINTS),
    "callbacks": ("keras.callbacks", CALLBACKS),
}
FUNCTION_MODULES = {
    "losses": "keras.losses",
    "metrics": "keras.metrics",
    "activations": "keras.activations",
}
# A value for every argument without a default, only to reach the config's defaults.
SAMPLES: dict[str, Any] = {
    "units": 1,
    "filters": 1,
    "pool_size": 1,
    "kernel_size": 1,
    "input_dim": 1,
    "output_dim": 1,
    "rate": 0.5,
    "stddev": 0.5,
    "activation": "linear",
    "target_shape": (1,),
    "dims": (1,),
    "n": 1,
    "axes": 1,
    "num_heads": 1,
    "key_dim": 1,
    "head_dim": 1,
    "num_query_heads": 1,
    "num_key_value_heads": 1,
    "scale": 1.0,
    "height": 1,
    "width": 1,
    "equation": "ab,bc->ac",
    "output_shape": 1,
    "num_classes": 2,
    "target_class_ids": [0],
    "recall": 0.5,
    "precision": 0.5,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "initial_learning_rate": 0.1,
    "decay_steps": 1,
    "decay_rate": 0.5,
    "first_decay_steps": 1,
    "boundaries": [1],
    "values": [0.1, 0.2],
    "schedule": None,
}


def signatures() -> dict[str, Any]:
    """The whole table, as it is written to signatures.json."""
    keras = importlib.import_module("keras")
    table: dict[str, Any] = {"keras": keras.__version__}
    for kind, (module, names) in CLASSES.items():
        table[kind] = {name: _entry(module, name) for name in names}
    table["aliases"] = {kind: _aliases(kind, table[kind]) for kind in CLASSES}
    table["functions"] = {kind: _functions(kind) for kind in FUNCTION_MODULES}
    return table


def _entry(module: str, name: str) -> dict[str, Any]:
    cls = getattr(importlib.import_module(module), name)
    parameters = [
        p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"
    ]
    named = [
        p
        for p in parameters
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in REFUSED
    ]
    required = [p.name for p in named if p.default is p.empty]
    return {
        "arguments": [p.name for p in named],
        "required": required,
        "defaults": _defaults(module, cls, required, {p.name: p.default for p in named}),
    }


def _defaults(
    module: str, cls: Any, required: list[str], written: dict[str, Any]
) -> dict[str, Any]:
    """What get_config gives when only the required arguments are set, less those.

    A value that follows a required argument (the strides of a pooling layer) is not a default;
    then, and for what get_config leaves out, the default written in the signature counts.
    """
    if module == "keras.callbacks":
        return {k: v for k, v in written.items() if k not in required}
    first, second = (_config(cls, required, is_second) for is_second in (False, True))
    found = {k: v for k, v in first.items() if v == second[k] and k not in REFUSED}
    for name, value in written.items():
        if name not in found and (value is None or isinstance(value, bool | int | float | str)):
            found[name] = value
    for name in (*required, "dtype"):
        found.pop(name, None)
    if module != "keras.metrics":  # a metric's name is the key of its values in the history
        found.pop("name", None)
    if "pool_size" in written and "strides" in written:
        found["strides"] = None  # means: as the pool size
    return {name: _short(value) for name, value in sorted(found.items())}


def _config(cls: Any, required: list[str], is_second: bool) -> dict[str, Any]:
    arguments = {name: _sample(cls.__name__, name, is_second) for name in required}
    if cls.__name__ == "InputLayer":
        arguments = {"shape": (2 if is_second else 1,)}
    config = importlib.import_module("keras.saving").serialize_keras_object(cls(**arguments))
    return dict(config["config"])


def _short(value: Any) -> Any:
    return shortest(value) if isinstance(value, float) else value


def _sample(class_name: str, argument: str, is_second: bool) -> Any:
    layers = importlib.import_module("keras.layers")
    units = 2 if is_second else 1
    if argument == "layer":
        return layers.LSTM(units) if class_name == "Bidirectional" else layers.Dense(units)
    if argument == "cell":
        return layers.LSTMCell(units)
    if argument == "cells":
        return [layers.LSTMCell(units)]
    value = SAMPLES[argument]
    if is_second and isinstance(value, int | float):
        return value * 2 if isinstance(value, int) else value / 2
    return value


def _aliases(kind: str, known: dict[str, Any]) -> dict[str, str]:
    """Other names of the same classes: `glorot_uniform`, `AvgPool2D`, `mse`."""
    public = importlib.import_module(CLASSES[kind][0])
    found: dict[str, str] = {}
    for name in dir(public):
        value = getattr(public, name)
        if inspect.isclass(value) and value.__name__ in known and name != value.__name__:
            found[name] = value.__name__
    if kind in ("initializers", "regularizers", "constraints", "optimizers"):
        source = importlib.import_module(f"keras.src.{kind}")
        for name, value in source.ALL_OBJECTS_DICT.items():
            if inspect.isclass(value) and value.__name__ in known and name != value.__name__:
                found[name] = value.__name__
    return dict(sorted(found.items()))


def _functions(kind: str) -> dict[str, str]:
    """{identifier: the function's own name} of what `compile` or `activation=` takes."""
    source = importlib.import_module(f"keras.src.{kind}")
    public = importlib.import_module(FUNCTION_MODULES[kind])
    found: dict[str, str] = {}
    for name, value in source.ALL_OBJECTS_DICT.items():
        if inspect.isfunction(value) or (
            inspect.isclass(value) and kind == "metrics" and value.__name__ in METRICS
        ):
            found[name] = value.__name__
    for name in dir(public):
        if inspect.isfunction(getattr(public, name)) and _is_found(public, name):
            found.setdefault(name, getattr(public, name).__name__)
    return dict(sorted(found.items()))


def _is_found(public: Any, name: str) -> bool:
    """Whether Keras itself finds the function by its name."""
    try:
        return name not in ("get", "serialize", "deserialize") and bool(public.get(name))
    except ValueError:
        return False


def main() -> None:
    """Write the table beside this file."""
    TABLE.write_text(json.dumps(signatures(), indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"wrote {TABLE.name}\n")


if __name__ == "__main__":
    main()

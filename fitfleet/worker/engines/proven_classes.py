"""Which classes of Keras each engine may train: those that were compared with `fit`.

The equality matrix (`make matrix`, docs/reference/equality.md) trains every class that is listed
here by each engine and by Keras's `fit`, and tests compare these lists with its results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fitfleet.spec.identity import has_custom
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.canonical import nodes
from fitfleet.spec.keras_objects.object_documents import is_custom

# In a Sequential model of these a step inside a loop is bit-equal to one outside of it. TensorFlow
# rewrites silu and the metrics CosineSimilarity, LogCoshError, PearsonCorrelation,
# ConcordanceCorrelation and CategoricalHinge otherwise there, some only in combination with others.
_SAME_IN_A_LOOP = {
    kind: frozenset(names.split())
    for kind, names in {
        "layers": """
            Activation BatchNormalization Bidirectional Conv2D Dense Dropout Embedding Flatten GRU
            GRUCell GaussianNoise InputLayer LSTM LSTMCell MaxPooling2D RNN SimpleRNNCell
        """,
        "activations": """
            elu exponential gelu hard_sigmoid leaky_relu linear log_softmax relu relu6 selu sigmoid
            softmax softplus softsign tanh
        """,
        "losses": """
            BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy
            CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Dice
            Hinge Huber KLDivergence MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
            MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky
        """,
        "metrics": """
            AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy
            CategoricalCrossentropy F1Score FBetaScore FalseNegatives FalsePositives Hinge
            IoU KLDivergence MeanAbsoluteError MeanAbsolutePercentageError
            MeanIoU MeanSquaredError MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU Precision
            PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError
            SensitivityAtSpecificity SparseCategoricalAccuracy SparseCategoricalCrossentropy
            SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge
            TopKCategoricalAccuracy TrueNegatives TruePositives
        """,
    }.items()
}

# The variables of these have the same initial values in every job of an architecture, so a traced
# program can start another job. ScheduleFreeAdamW copies the weights into its state when it is
# built, but `fit`, which builds it while tracing, leaves zeros. Custom optimizers may do either.
_SAME_START = frozenset(
    """
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD
    """.split()  # noqa: SIM905
)

# In a stack these are equal to single jobs to 1e-10 in float64, also masked and weighted.
_IN_A_STACK = {
    kind: frozenset(names.split())
    for kind, names in {
        "layers": """
            Activation Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
            AveragePooling2D BatchNormalization Bidirectional CenterCrop Concatenate Conv1D Conv2D
            Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU
            EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise
            GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
            GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity
            InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D
            Maximum Minimum MultiHeadAttention Multiply PReLU Permute RMSNormalization RNN ReLU
            RepeatVector Rescaling Reshape SimpleRNN SimpleRNNCell Softmax SpatialDropout1D
            SpatialDropout2D SpatialDropout3D StackedRNNCells Subtract TimeDistributed
            UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
            ZeroPadding3D
        """,
        "operations": """
            Absolute Add Any Cast Clip Concatenate ConvertToTensor Cos Cumsum Einsum Equal Erf Exp
            ExpandDims Flip Floor Gelu GetItem Greater Less LessEqual Log LogSoftmax LogicalAnd
            LogicalNot LogicalOr Logsumexp Matmul Max Maximum Mean Min Minimum Moveaxis Multiply
            Negative Normalize NotEqual OnesLike Pad Power Relu Repeat Reshape Roll Rsqrt Sigmoid
            Sign Silu Sin Softmax Softplus Split Sqrt Square Squeeze Stack Subtract Sum Swapaxes
            Tanh Tile Transpose TrueDivide Var Where ZerosLike
        """,
        "activations": """
            celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear
            log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
            softsign sparse_plus tanh
        """,
        "losses": """
            BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy
            CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Circle
            CosineSimilarity Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError
            MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
            SparseCategoricalCrossentropy SquaredHinge Tversky
        """,
        "metrics": """
            AUC Accuracy BinaryAccuracy BinaryCrossentropy CategoricalAccuracy
            CategoricalCrossentropy CategoricalHinge ConcordanceCorrelation CosineSimilarity
            FalseNegatives FalsePositives Hinge KLDivergence LogCoshError MeanAbsoluteError
            MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError
            PearsonCorrelation Poisson Precision PrecisionAtRecall Recall RecallAtPrecision
            RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy
            SparseCategoricalCrossentropy SpecificityAtSensitivity SquaredHinge TrueNegatives
            TruePositives
        """,
        "optimizers": """
            Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD
        """,
        "schedules": """
            CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay
            PiecewiseConstantDecay PolynomialDecay
        """,
        "regularizers": "L1 L1L2 L2",
        "constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
    }.items()
}
# Keras chooses the class of accuracy for these by the shape of the labels.
_BY_SHAPE = frozenset(("accuracy", "acc"))


def is_same_in_a_loop(spec: JobSpec) -> bool:
    """Whether steps in a loop inside a graph are bit-equal to those of `fit`.

    For a Sequential model of Keras's layers, losses and metrics that are proven there.
    """
    config = spec.model.config or {}
    if config.get("class_name") != "Sequential" or has_custom(spec):
        return False
    layers = config["config"]["layers"]
    terms = [
        key
        for layer in nodes(layers)
        if isinstance(layer.get("config"), dict)
        for key, value in layer["config"].items()
        if value and key.endswith("_regularizer")
    ]
    is_chain = all(layer["class_name"] in _SAME_IN_A_LOOP["layers"] for layer in layers)
    is_proven = all(
        name in _SAME_IN_A_LOOP[kind] for kind, name in parts(spec) if kind in _SAME_IN_A_LOOP
    )
    return is_chain and is_proven and len(terms) <= 1  # a sum of two terms has one order


def has_same_start(spec: JobSpec) -> bool:
    """Whether the optimizer of a fresh job depends on its spec alone, not on its weights."""
    optimizer = spec.optimizer
    return not is_custom(optimizer) and optimizer.get("class_name") in _SAME_START


def unproven_in_a_stack(spec: JobSpec) -> str | None:
    """The name of a class in the spec that is not proven in a stack, or None."""
    for kind, name in parts(spec):
        if name not in _IN_A_STACK[kind]:
            return name
    return None


def parts(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """(kind, class name) of all parts of the spec that a program contains."""
    yield from _nodes(spec.model.config)
    yield from _nodes(spec.optimizer)
    for kind, document in (
        ("losses", spec.loss),
        ("metrics", spec.metrics),
        ("metrics", spec.weighted_metrics),
    ):
        yield from ((kind, name) for name in _named(kind, document))


def _nodes(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for part in node:
            yield from _nodes(part)
    elif isinstance(node, dict):
        name, module = node.get("class_name"), str(node.get("module"))
        kind = "operations" if module.startswith("keras.src.ops") else catalog.KINDS.get(module)
        if isinstance(name, str) and kind in _IN_A_STACK:
            yield kind, name
        for key, part in node.items():
            if key.endswith("activation") and isinstance(part, str):
                yield "activations", catalog.function_name("activations", part) or part
            else:
                yield from _nodes(part)


def _named(kind: str, document: Any) -> Iterator[str]:
    """The classes of losses or metrics, given as names, objects, lists or dicts."""
    if isinstance(document, str):
        yield from () if document in _BY_SHAPE else (_class(kind, document),)
    elif isinstance(document, dict) and isinstance(document.get("class_name"), str):
        yield document["class_name"]
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from _named(kind, part)


def _class(kind: str, identifier: str) -> str:
    """The class of an identifier; Keras names its function like the class, with underscores."""
    name = catalog.function_name(kind, identifier) or identifier
    class_name = catalog.class_name(kind, name)
    by_letters = {each.lower(): each for each in catalog.class_names(kind)}
    return class_name or by_letters.get(name.replace("_", "").lower(), name)

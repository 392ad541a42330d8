"""Names of Keras that a spec may not use: why, and what to use instead.

A test checks that every public class of Keras is in signatures.json or here.
"""

from __future__ import annotations

_TRUSTED = (
    "give a function that makes the model, model=ff.builder(make_model), which workers run where "
    "they trust its module or script"
)
_PARENT = "it is a parent class; name one of its children"
_CODE = f"it carries code; {_TRUSTED}"
_OTHER = f"it contains a program of another framework; {_TRUSTED}"
_IMAGES = (
    "of Keras's augmentation layers a model holds those that work on each picture alone "
    f"(RandomFlip, RandomRotation, RandomZoom, ...); use one, or {_TRUSTED}"
)

_LAYERS = {
    "Lambda": (
        "it carries code; write it as a layer of your own or with the operations of Keras, or "
        + _TRUSTED
    ),
    "TFSMLayer": f"it loads a saved program from a path; {_TRUSTED}",
    **dict.fromkeys(("TorchModuleWrapper", "FlaxLayer", "JaxLayer"), _OTHER),
    **dict.fromkeys(("Layer", "Wrapper"), _PARENT),
    "InputSpec": "it is a description, not a layer",
    "MaxNumBoundingBoxes": "boxes are not arrays; give them as arrays in the dataset",
    "Pipeline": "it is a list of layers; give the layers themselves",
    **dict.fromkeys(
        (
            *("AugMix", "CutMix", "MixUp", "RandAugment", "RandomColorDegeneration"),
            *("RandomElasticTransform", "RandomPerspective", "RandomPosterization"),
            *("RandomColorJitter", "RandomSharpness", "RandomShear"),
        ),
        _IMAGES,
    ),
    **dict.fromkeys(
        (
            *("AutoContrast", "Equalization", "Solarization", "MelSpectrogram"),
            *("ContrastLimitedAdaptiveHistogramEqualization", "STFTSpectrogram"),
        ),
        f"it prepares data before a fit; do it before the dataset is written, or {_TRUSTED}",
    ),
    "ReversibleEmbedding": f"it is called in two ways in one model; {_TRUSTED}",
}
_CALLBACKS = {
    "BackupAndRestore": (
        "fitfleet does this: a job that is interrupted resumes from its last checkpoint (settings "
        "checkpoint_s and checkpoint_epochs)"
    ),
    "OrbaxCheckpoint": (
        "fitfleet does this: every job's weights are in the storage (job.weights()); those of the "
        "best epoch are written by ModelCheckpoint('best.keras', save_best_only=True)"
    ),
    "History": "fitfleet does this: job.history has every epoch",
    "ProgbarLogger": "fitfleet does this: `fitfleet watch` shows the progress",
    "RemoteMonitor": "it sends data to a URL; read the metrics from SQL instead (views runs"
    " and curves)",
    "LambdaCallback": (
        "it carries code without a name; write a subclass of keras.callbacks.Callback, with"
        " on_epoch_end or whichever method it is, and give callbacks=[ThatClass()]"
    ),
    "SwapEMAWeights": (
        "it is not supported; an optimizer with use_ema=True and ema_overwrite_frequency sets the "
        "averaged weights"
    ),
    "Callback": "it does nothing itself; give a class of your own derived from it",
    "CallbackList": "it is a list; give the callbacks themselves",
}
REASONS: dict[str, dict[str, str]] = {
    "layers": _LAYERS,
    "losses": {"Loss": _PARENT},
    "metrics": {
        "Metric": _PARENT,
        **dict.fromkeys(
            ("Mean", "Sum"), "Keras does not compare labels with it; name a metric of y and y_pred"
        ),
        "MeanMetricWrapper": _CODE,
    },
    "optimizers": {
        "Optimizer": _PARENT,
        "LossScaleOptimizer": "Keras adds it itself; give dtype_policy='mixed_float16'",
        **dict.fromkeys(
            ("MultiOptimizer", "OptimizerMap"), "it assigns objects to layers; give one optimizer"
        ),
    },
    "schedules": {"LearningRateSchedule": _PARENT},
    "initializers": {"Initializer": _PARENT, "STFT": "it is for STFTSpectrogram alone"},
    "regularizers": {"Regularizer": _PARENT},
    "constraints": {"Constraint": _PARENT},
    "callbacks": _CALLBACKS,
}

_OPERATIONS = {
    "calls functions, which a config cannot carry safely": """
        Map Scan AssociativeScan Switch WhileLoop ForiLoop Cond VectorizedMap JVP
    """,
    "its output may be as large as the square of its input": "Kron Vander Diagflat Meshgrid",
    "the size of its output depends on values, so no traced program has a shape for it": """
        Nonzero Unique Bincount Arange Linspace Logspace Geomspace Full Histogram SegmentReduction
        SegmentSum SegmentMax SegmentMin SegmentProd Scatter ISTFT
    """,
    "it mixes the rows of a batch": "Outer Corrcoef Vdot Inner Lstsq AllClose Size",
    "its values are uninitialised memory": "EmptyLike",
    "it draws random numbers from a state that a resumed fit cannot set": "ElasticTransform",
    "a beam search has no gradient and no bounded time; decode after the fit": "CTCDecode",
    "its complex result has no gradient": "Eig",
    "its result is not a tensor of a traced program": "Array View Ndim",
}
OPERATIONS = {name: why for why, names in _OPERATIONS.items() for name in names.split()}


def operation_reason(name: str) -> str:
    """Why an operator of `keras.ops` is refused."""
    return OPERATIONS.get(name, "Keras has no operator of that name")


def reason(kind: str, name: str) -> str | None:
    """Why a name of Keras is refused, and what to use instead; None for other names."""
    return REASONS.get(kind, {}).get(name)

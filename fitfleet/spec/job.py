"""JobSpec: all that decides the numbers of a fit. JobOptions: all that does not."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fitfleet.spec.json_text import canonical_json

# Keras's floatx: the dtype of losses, metrics and floating data.
Floatx = Literal["float32", "float64"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def floatx_of(dtype_policy: Any) -> Floatx:
    """Keras's floatx in a job of this policy: float32 also where layers compute in half."""
    return "float64" if dtype_policy == "float64" else "float32"


class Builder(_Part):
    """A function of the user that returns a Keras model: `module:function` and its arguments.

    With `hyperparameters` it is a build function of KerasTuner, which is given their values as its
    first argument, or a HyperModel class of KerasTuner.
    """

    path: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] | None = None


class ModelSpec(_Part):
    """Keras's own config of the model, or a builder that only the worker can call."""

    config: dict[str, Any] | None = None
    builder: Builder | None = None


class Windows(_Part):
    """Sliding windows over a series, rows of the array being time steps.

    Row i of x is `series[i*stride : i*stride + length]`, shape (length, features); its target is
    `series[i*stride + length - 1 + horizon]` when y is the same array, or y's row at that index.
    """

    length: int
    stride: int = 1
    horizon: int = 1
    # Array of the series that each row belongs to; where it changes a new one begins, and no
    # window or target reaches over the border. None: all rows are one series.
    series: str | None = None


# None: looked for in the file; False: there is none, whatever the file holds.
OptionalRole = str | list[str] | dict[str, Any] | Literal[False] | None


class DatasetSpec(_Part):
    """Which file, which arrays, which rows.

    `x`, `y` and `sample_weight` name one array, several in order, or {input name: array name}.
    Test and validation arrays are named alike; all are optional. `.npy` pairs are given as
    `{"x": path, ...}` in `files`.

    In a table (CSV, Parquet) a name is one column, shape (rows,), and a list of names is ONE array
    of shape (rows, columns); several inputs are {input name: column or list of columns}.

    What is left at its default is looked for in the file: x_train, X_train, x or X and the same
    for y, then x_val, y_val, x_test, y_test, sample_weight and sample_weight_val (False: none).
    float64 is loaded as the job's `floatx`, as Keras casts to its own; other dtypes stay.
    """

    path: str = ""
    files: dict[str, str] = Field(default_factory=dict)  # array name -> .npy file
    function: Builder | None = None  # in place of a file: called by the worker, gives the arrays
    x: str | list[str] | dict[str, Any] = "x_train"
    y: str | list[str] | dict[str, Any] | None = "y_train"
    x_val: OptionalRole = None
    y_val: OptionalRole = None
    x_test: OptionalRole = None
    y_test: OptionalRole = None
    sample_weight: OptionalRole = None
    sample_weight_val: OptionalRole = None
    groups: str | None = None  # array of group labels for group k-fold
    windows: Windows | None = None
    nan: Literal["warn", "refuse", "allow"] = "warn"
    fold: dict[str, Any] | None = None  # {"kind": "kfold", "k": 5, "index": 0, "seed": 0}
    # Of a table: what stands between its columns (None: by its suffix) and for a decimal point,
    # words for missing values, and columns of text with the words that stand for 0, 1, 2, ...
    delimiter: Literal[",", ";", "\t", "|", " ", ":"] | None = None
    decimal: Literal[".", ","] = "."
    missing: list[str] = Field(default_factory=list, max_length=100)
    categories: dict[str, list[str]] | list[str] = Field(default_factory=dict)
    texts: list[str] = Field(default_factory=list, max_length=100)  # columns read as they are


class InitialWeights(_Part):
    """Weights that a fit starts from: a file of the storage that is named by its content.

    `match`: "all" of the model's weights are in the file, in the model's order; "names": those of
    layers with the same name and shapes are taken, the others are drawn by the job's seed.
    `form`: Keras's weights file, or that of its older `.h5` format, by layer.
    Of a job that has not ended the file is not known; `of_job` is its content hash instead, which
    decides its weights. With an `initial_epoch`, which is Keras's argument of `fit`, the fit
    continues that of the job: with its optimizer's state, from that epoch on.
    """

    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    of_job: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    match: Literal["all", "names"] = "all"
    form: Literal["keras", "legacy"] = "keras"
    optimizer: bool = False  # whether the optimizer's state is taken from the file as well
    initial_epoch: int = Field(default=0, ge=0)  # epochs that were trained before; of a job only

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if bool(self.sha256) == bool(self.of_job):
            raise ValueError("give sha256 or of_job, the one or the other")
        if self.initial_epoch and not (self.of_job and self.optimizer and self.match == "all"):
            raise ValueError("initial_epoch goes with of_job, optimizer and all weights")
        return self

    @property
    def continues(self) -> bool:
        """Whether the fit continues that of another job."""
        return self.initial_epoch > 0


class Evaluator(_Part):
    """A NumPy function `(y_true, y_pred, context) -> dict[str, float]`, `module:function`."""

    path: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Member(_Part):
    """A fitted model of an ensemble, and its share of the mean."""

    job: int  # whose weights file it is
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of that file
    share: float = Field(gt=0, le=1)


class Task(_Part):
    """What a job does with the fitted model of another instead of a fit.

    "evaluate": Keras's `evaluate` on x and y of the dataset; "predict": `predict` on its x. With
    `members` the model is the weighted mean of theirs, and the first of them is `job`.
    """

    kind: Literal["evaluate", "predict"]
    job: int  # whose weights file it is
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of that file
    members: list[Member] = Field(default_factory=list, max_length=1000)


class JobSpec(_Part):
    """One Keras fit, complete. Fields are named as Keras names them."""

    model: ModelSpec
    dataset: DatasetSpec
    # compile
    optimizer: dict[str, Any]
    loss: Any
    loss_weights: Any = None
    metrics: Any = None
    weighted_metrics: Any = None
    jit_compile: bool | Literal["auto"] = False
    steps_per_execution: int = 1
    dtype_policy: str | None = None  # e.g. "mixed_float16"
    # where it starts
    initial_weights: InitialWeights | None = None  # None: drawn by the seed
    freeze: list[str] = Field(default_factory=list)  # names of layers that aren't trained: "base*"
    # names of preprocessing layers that the worker adapts to the training rows
    adapt: list[str] = Field(default_factory=list)
    # fit
    batch_size: int = 32
    epochs: int = 1  # the last one's number, counted from 1
    initial_epoch: int = 0  # the first one's, counted from 0
    steps_per_epoch: int | None = None  # batches; None: those of one pass over the rows
    shuffle: bool = True
    validation_split: float = 0.0
    validation_batch_size: int | None = None
    validation_steps: int | None = None  # batches of a validation, its first ones; None: all
    validation_freq: int | list[int] = 1  # each so many epochs, or after these, counted from 1
    class_weight: dict[str, float] | None = None
    callbacks: list[dict[str, Any]] = Field(default_factory=list)
    reset_states: Literal["epoch", "never"] = "epoch"  # stateful RNNs
    gradient_accumulation_steps: int | None = None
    # evaluate
    evaluators: list[Evaluator] = Field(default_factory=list)
    # sha256 of the snapshot of the user's code that the job runs (spec/code)
    code: str | None = None
    task: Task | None = None  # None: a fit
    # Seconds of training, of all attempts, after which the fit ends with the epoch; None: no bound.
    stop_after: float | None = None
    seed: int = 0

    @property
    def floatx(self) -> Floatx:
        """Keras's floatx during the job: float32 also where layers compute in half precision."""
        return floatx_of(self.dtype_policy)

    def validates(self, epoch: int) -> bool:
        """Whether a validation follows the epoch, counted from 1, as Keras's fit decides it."""
        if isinstance(self.validation_freq, int):
            return epoch % self.validation_freq == 0
        return epoch in self.validation_freq

    @property
    def keeps_averages(self) -> bool:
        """Whether the fitted weights are averages (use_ema), which no epoch's metrics are of."""
        is_averaged = bool(self.optimizer.get("config", {}).get("use_ema"))
        return is_averaged and not any(
            (callback.get("config") or {}).get("restore_best_weights")
            for callback in self.callbacks
        )

    def canonical(self) -> str:
        """The one JSON text of this spec: sorted keys, no blanks."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_canonical(cls, text: str) -> JobSpec:
        """The spec that `canonical` wrote."""
        return cls.model_validate_json(text)


class JobOptions(_Part):
    """Where, when and how often a job runs; never what it computes."""

    experiment: str = "default"
    params: dict[str, Any] = Field(default_factory=dict)
    queue: str | None = None  # None: the fleet's setting
    # What its slot must have: labels, a GPU, memory of it and of the host for itself (bytes, "6GB")
    requires: dict[str, str] = Field(default_factory=dict)
    gpus: int | None = None
    gpu_memory: int | str | None = None
    memory: int | str | None = None
    priority: int = 0
    max_failures: int | None = None
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    fuse: bool | Literal["auto"] = "auto"  # False: only engines that are bit-equal to running alone
    shrink_on_oom: bool = False  # allow the OOM fallback with micro-batches
    checkpoint_epochs: int | None = None
    checkpoint_s: float | None = None

"""Jobs in a stack get the numbers they get alone: to 1e-10 in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import ledger
import nets
import numpy as np
import pytest
from support.parts import sampled

from fitfleet.data.arrays import Arrays
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.fusible import unfusable
from fitfleet.worker.engines.programs import functions
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.models.build import build, precision

L = keras.layers
SEEDS = (3, 4, 5)
TOLERANCE = 1e-10


def cohort(net: nets.Net, **given: Any) -> list[Any]:
    """Three jobs in float64 with seeds, rates and regularization factors of their own."""
    model = net.build()
    arguments = {"epochs": 2, "batch_size": 16, **net.given, "dtype_policy": "float64", **given}
    specs = [ledger.spec(model, seed=seed, **arguments) for seed in SEEDS]
    for index, spec in enumerate(specs):
        config = spec.optimizer["config"]
        if isinstance(config["learning_rate"], float):
            config["learning_rate"] *= 1 + index
        specs[index] = ledger.scaled(spec, 1 - 0.3 * index)
    return [ledger.prepared(spec, net.arrays, number) for number, spec in enumerate(specs)]


def compare(net: nets.Net, store: ProgramStore | None = None, **given: Any) -> ledger.Ledger:
    alone = ledger.train(LoopFit(ledger.SETTINGS), cohort(net, **given))
    together = ledger.train(FusedFit(ledger.SETTINGS, store=store), cohort(net, **given))
    for error in alone.errors.values():
        raise error
    assert together.weights.keys() == alone.weights.keys() == {0, 1, 2}
    ledger.assert_close(together, alone, TOLERANCE)
    return together


# A convolution inside a loop over time has no stacked form, nor has the gradient of two with
# kernels of 1, the second with one filter, as in the transformer; such jobs are trained otherwise.
_UNTRACEABLE = {"mixed", "convolutional_recurrent", "transformer"}
FUSED = [
    "mlp",
    "stacked_lstm",
    "embedding_lstm",
    "convolution",
    "two_inputs_two_outputs",
    "encoder_decoder",
    "bidirectional",
    "weighted",
    "class_weighted",
    "callbacks",
    "double",
    "split",
    "unlabelled_validation_free",
]


def test_these_models_and_no_others_are_fused() -> None:
    names = {name for name in nets.ALL if unfusable(cohort(nets.ALL[name]())[0]) is None}
    assert names - _UNTRACEABLE == set(FUSED)


@pytest.mark.parametrize("name", sampled(FUSED, "mlp", "stacked_lstm", slow=["embedding_lstm"]))
def test_a_stack_equals_each_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a program that is read from the disk equals the traced one, to the bit."""
    net = nets.ALL[name]()
    store = ProgramStore(tmp_path / "programs", 2**28)
    together = compare(net, store)
    traced: list[Any] = []
    trace = functions._traced
    monkeypatch.setattr(functions, "_traced", lambda *given: traced.append(given) or trace(*given))
    read = ledger.train(FusedFit(ledger.SETTINGS, store=store), cohort(net))
    ledger.assert_same(together, read)
    # The gradients of its conditions have operations that a stored program need not have.
    assert not traced or name == "embedding_lstm"


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.05},
    "SGD momentum": {"learning_rate": 0.05, "momentum": 0.9},
    "SGD nesterov": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"learning_rate": 0.01},
    "RMSprop momentum": {"learning_rate": 0.01, "momentum": 0.5},
    "Adam": {"learning_rate": 0.01},
    "Adam amsgrad": {"learning_rate": 0.01, "amsgrad": True},
    "Adam clipvalue": {"learning_rate": 0.01, "clipvalue": 0.01},
    "Adam clipnorm": {"learning_rate": 0.01, "clipnorm": 0.05},
    "Adam global_clipnorm": {"learning_rate": 0.01, "global_clipnorm": 0.05},
    "AdamW": {"learning_rate": 0.01, "weight_decay": 0.1},
    "Adadelta": {"learning_rate": 0.5},
    "Adagrad": {"learning_rate": 0.05},
    "Adamax": {"learning_rate": 0.01},
    "Nadam": {"learning_rate": 0.01},
    "Ftrl": {"learning_rate": 0.05},
    "Lion": {"learning_rate": 0.001},
    "Adafactor": {"learning_rate": 0.01},
    "Lamb": {"learning_rate": 0.01},
}


@pytest.mark.parametrize("name", sampled(OPTIMIZERS, "SGD nesterov", "RMSprop", "Adam"))
def test_each_optimizer_fused_equals_it_alone(name: str) -> None:
    """On sparse and dense gradients."""
    x = np.random.default_rng(0).integers(0, 12, (50, 4))
    y = (x.mean(1, keepdims=True) > 6).astype("float64")
    net = nets.Net(
        lambda: keras.Sequential(
            [keras.Input((4,), dtype="int32"), L.Embedding(12, 3), L.Flatten(), L.Dense(1)]
        ),
        Arrays(x=x, y=y),
        {"loss": "mse", "optimizer": {name.split()[0]: OPTIMIZERS[name]}},
    )
    compare(net)


@pytest.mark.slow
def test_centered_rmsprop_on_dense_gradients() -> None:
    """On sparse ones Keras itself fails."""
    compare(nets.stacked_lstm(), optimizer={"RMSprop": {"centered": True, "learning_rate": 0.01}})


LAYERS: dict[str, Any] = {
    "GRU": lambda: L.GRU(3, return_sequences=True),
    "GRU before": lambda: L.GRU(3, reset_after=False),
    "SimpleRNN": lambda: L.SimpleRNN(3),
    "LSTM": lambda: L.LSTM(3, return_sequences=True, use_bias=False),
    "LSTM dropped": lambda: L.LSTM(3, dropout=0.3, recurrent_dropout=0.2),
    "LSTM backwards": lambda: L.LSTM(3, go_backwards=True),
    "Bidirectional": lambda: L.Bidirectional(L.LSTM(3)),
    "TimeDistributed": lambda: L.TimeDistributed(L.Dense(3)),
    "Conv1D": lambda: L.Conv1D(3, 3, padding="same", strides=2, activation="relu"),
    "Conv1D dilated": lambda: L.Conv1D(3, 2, dilation_rate=2, use_bias=False),
    "BatchNormalization": lambda: L.BatchNormalization(),
    "LayerNormalization": lambda: L.LayerNormalization(),
    "Dropout": lambda: L.Dropout(0.4),
    "SpatialDropout1D": lambda: L.SpatialDropout1D(0.4),
    "GaussianNoise": lambda: L.GaussianNoise(0.3),
    "MaxPooling1D": lambda: L.MaxPooling1D(2),
    "AveragePooling1D": lambda: L.AveragePooling1D(2),
    "GlobalAveragePooling1D": lambda: L.GlobalAveragePooling1D(),
    "Masking": lambda: [L.Masking(), L.LSTM(3, return_sequences=True), L.GRU(3)],
    "constrained": lambda: L.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.5)),
    "regularised": lambda: L.Dense(4, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02)),
    "PReLU": lambda: L.PReLU(),
}


@pytest.mark.parametrize("name", sampled(LAYERS, "GRU", "Masking", slow=["LSTM dropped"]))
def test_each_layer_fused_equals_it_alone(name: str) -> None:
    """Between two others, so that gradients pass through it."""
    x = np.random.default_rng(1).normal(size=(50, 5, 4))
    x[:, 3:][x[:, 3:] < 0.3] = 0
    layers = LAYERS[name]()
    layers = layers if isinstance(layers, list) else [L.Dense(4), layers]
    net = nets.Net(
        lambda: keras.Sequential([keras.Input((5, 4)), *layers, L.Flatten(), L.Dense(2)]),
        Arrays(x=x, y=x[:, 0, :2], x_val=x[:9], y_val=x[:9, 0, :2]),
        {"loss": "mse", "optimizer": "sgd", "metrics": ["mae"]},
    )
    compare(net)


@pytest.mark.parametrize("inside", ["model", "TimeDistributed"])
def test_an_embedding_inside_of_another_layer_is_not_stacked(inside: str) -> None:
    """Its gradient would come out dense, and Keras's optimizers treat a sparse one otherwise."""
    embedding = L.Embedding(9, 3)
    if inside == "model":
        shape, layer = (6,), keras.Sequential([keras.Input((6,)), embedding])
    else:
        shape, layer = (6, 2), L.TimeDistributed(embedding)
    x = np.random.default_rng(0).integers(0, 9, (20, *shape))
    net = nets.Net(
        lambda: keras.Sequential(
            [keras.Input(shape, dtype="int32"), layer, L.Flatten(), L.Dense(1)]
        ),
        Arrays(x=x, y=np.ones((20, 1))),
        {"loss": "mse", "optimizer": "adam"},
    )
    reason = FusedFit(ledger.SETTINGS).trace(cohort(net)[0])
    assert reason is not None and "is inside of" in reason


@pytest.mark.slow
def test_words_that_are_no_whole_numbers_are_masked_where_they_are_zero() -> None:
    """Before they are cast: 0.5 is the word 0, and is not masked."""
    x = np.random.default_rng(0).integers(0, 6, (20, 4)) / 2
    net = nets.Net(
        lambda: keras.Sequential(
            [keras.Input((4,)), L.Embedding(3, 2, mask_zero=True), L.GRU(2), L.Dense(1)]
        ),
        Arrays(x=x, y=x[:, :1]),
        {"loss": "mse", "optimizer": "sgd"},
    )
    compare(net)


@pytest.mark.parametrize("dtype", sampled(["uint8", "int16", "uint16", "uint32", "bool"], "uint16"))
def test_labels_of_each_width_are_validated(dtype: str) -> None:
    """TensorFlow has no kernel for some of them in some operations."""
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 4), "float32"), rng.integers(0, 2, 20).astype(dtype)
    net = nets.Net(
        lambda: keras.Sequential([keras.Input((4,)), L.Dense(2, activation="softmax")]),
        Arrays(x=x, y=y, x_val=x[:7], y_val=y[:7]),
        {"loss": "sparse_categorical_crossentropy", "optimizer": "sgd", "metrics": ["accuracy"]},
    )
    compare(net)


def test_a_rate_of_zero_trains_nothing() -> None:
    net = nets.mlp()
    given: dict[str, Any] = {"optimizer": {"Adam": {"learning_rate": 0.0}}}
    together = compare(net, **given)
    for job in cohort(net, **given):
        with precision("float64"):
            fresh = build(job.spec, ledger.SETTINGS)
        values = zip(together.weights[job.claim.job_id], fresh.variables, strict=True)
        for value, variable in values:
            if variable.trainable:
                np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.slow
def test_a_scaled_loss_equals_each_job_alone() -> None:
    """The optimizer divides gradients by the scale, so the loss is multiplied before."""
    compare(nets.stacked_lstm(), optimizer={"SGD": {"loss_scale_factor": 96.0}})


def test_conv2d_same_with_strides() -> None:
    net = nets.convolution()
    net.build = lambda: keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(4, (3, 2), strides=(2, 1), padding="same"),
            L.Conv2D(3, 2, dilation_rate=2),
            L.Flatten(),
            L.Dense(4, activation="softmax"),
        ]
    )
    compare(net)


def test_a_job_with_nan_leaves_its_peers_untouched() -> None:
    net = nets.stacked_lstm()
    together, alone = ([*cohort(net)] for _ in range(2))
    for jobs in (together, alone):
        jobs[1].spec.optimizer["config"]["learning_rate"] = float("inf")
    fused = ledger.train(FusedFit(ledger.SETTINGS), together)
    looped = ledger.train(LoopFit(ledger.SETTINGS), alone)
    assert np.isnan(fused.logs[1][-1][1]["loss"])
    for fit in (fused, looped):
        for kind in (fit.logs, fit.scores, fit.weights, fit.optimizer):
            kind.pop(1)
    ledger.assert_close(fused, looped, TOLERANCE)


@pytest.mark.slow
def test_jobs_leave_a_stack_one_by_one_and_resume_elsewhere(tmp_path: Path) -> None:
    """Released after an epoch of their own, resumed in a stack, alone by loop, alone by fit."""
    net = nets.callbacks()
    whole = ledger.train(LoopFit(ledger.SETTINGS), cohort(net))
    broken = ledger.Ledger(tmp_path, {0: 1, 1: 2, 2: 1})
    ledger.train(FusedFit(ledger.SETTINGS), cohort(net), broken)
    for engine in (FusedFit, LoopFit, KerasFit):
        again = [
            ledger.resumed(job.spec, net.arrays, number, broken.snapshots[number])
            for number, job in enumerate(cohort(net))
        ]
        rest = ledger.train(engine(ledger.SETTINGS), again)
        for number in rest.logs:
            rest.logs[number] = broken.logs[number] + rest.logs[number]
        ledger.assert_close(rest, whole, TOLERANCE)


@pytest.mark.slow
def test_float32_is_no_further_from_alone_than_alone_is_from_itself(tmp_path: Path) -> None:
    """Alone against alone with initial weights moved by 1e-7: that distance is the measure."""
    net = nets.stacked_lstm()
    given = {"dtype_policy": "float32", "epochs": 4}
    alone = ledger.train(LoopFit(ledger.SETTINGS), cohort(net, **given))
    together = ledger.train(FusedFit(ledger.SETTINGS), cohort(net, **given))
    moved = [
        ledger.perturbed(job.spec, net.arrays, number, tmp_path / f"{number}.weights.h5")
        for number, job in enumerate(cohort(net, **given))
    ]
    nudged = ledger.train(LoopFit(ledger.SETTINGS), moved)
    assert 0 < ledger.distance(together, alone) <= 3 * ledger.distance(nudged, alone)

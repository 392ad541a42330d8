"""Exports for other runtimes compute what the model computes, or say why they cannot."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.parts import quick

from fitfleet.errors import SpecError
from fitfleet.worker.state.build_variables import ends
from fitfleet.worker.state.export import export_model

L = keras.layers


def plain() -> keras.Model:
    layers = [L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.Flatten(), L.Dense(2)]
    return keras.Sequential([keras.Input((6, 6, 1)), *layers])


def recurrent() -> keras.Model:
    return keras.Sequential([keras.Input((5, 3)), L.LSTM(4, return_sequences=True), L.GRU(3)])


def branches() -> keras.Model:
    codes = keras.Input((4,), dtype="int32", name="codes")
    rows = keras.Input((3,), name="a_row")
    seen = L.Flatten()(L.Embedding(9, 2)(codes))
    both = L.Concatenate()([seen, rows])
    outputs = {"second": L.Dense(2, name="second")(both), "first": L.Dense(1, name="first")(both)}
    return keras.Model({"codes": codes, "a_row": rows}, outputs)


KINDS = {"branches": branches, "plain": plain, "recurrent": recurrent}
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("branches", "recurrent")]


def compiled(kind: str) -> Any:
    keras.utils.set_random_seed(3)
    model = KINDS[kind]()
    model.compile(optimizer="adam", loss="mse")
    return model


@pytest.mark.parametrize("kind", ["plain", *SLOW])
def test_the_runtime_of_onnx_computes_the_same(kind: str, tmp_path: Path) -> None:
    import onnxruntime

    model = compiled(kind)
    path = export_model(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(5)
    x = {
        tensor.name: rng.integers(0, 9, (7, *tensor.shape[1:])).astype(tensor.dtype)
        for tensor in model.inputs
    }
    fed = keras.tree.map_structure(lambda tensor: x[tensor.name], ends(model)[0])
    expected = keras.tree.flatten(model.predict(fed, verbose=0))
    given = {node.name: x[node.name.partition(":")[0]] for node in session.get_inputs()}
    for output, wanted in zip(session.run(None, given), expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", *SLOW])
def test_the_runtime_of_tensorflow_lite_computes_the_same(kind: str, tmp_path: Path) -> None:
    import tensorflow as tf

    model = compiled(kind)
    path = export_model(model, tmp_path / "model.tflite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        interpreter = tf.lite.Interpreter(str(path))
    run = interpreter.get_signature_runner()
    rng = np.random.default_rng(5)
    x = {
        tensor.name: rng.integers(0, 9, (7, *tensor.shape[1:])).astype(tensor.dtype)
        for tensor in model.inputs
    }
    fed = keras.tree.map_structure(lambda tensor: x[tensor.name], ends(model)[0])
    expected = keras.tree.flatten(model.predict(fed, verbose=0))
    names = sorted(run.get_input_details())
    assert len(names) == 1 or set(names) == set(x)
    size = 1 if kind == "recurrent" else 7  # what loops takes a row at a time
    for start in range(0, 7, size):
        rows = {name: array[start : start + size] for name, array in x.items()}
        outputs = run(**(rows if len(x) > 1 else {names[0]: next(iter(rows.values()))}))
        for name, wanted in zip(sorted(outputs), expected, strict=True):
            part = wanted[start : start + size]
            np.testing.assert_allclose(outputs[name], part, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", quick([".onnx", ".tflite"], ".onnx"))
def test_what_cannot_be_converted_says_so(suffix: str, tmp_path: Path) -> None:
    words = L.StringLookup(vocabulary=["a", "b"])
    texts = keras.Sequential([keras.Input((3,), dtype="string"), words, L.Embedding(4, 2)])

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    subclassed = Own()
    subclassed(np.ones((1, 2)))
    for model, why in ((texts, "its inputs are texts"), (subclassed, "it declares no inputs")):
        with pytest.raises(SpecError, match=rf"^export: a \{suffix} file cannot hold.*{why}"):
            export_model(model, tmp_path / f"model{suffix}")
    assert not list(tmp_path.iterdir())


WITHOUT = """
import sys
sys.modules["tf2onnx"] = None  # as if it was not there
import keras
from pathlib import Path
from fitfleet.errors import MissingExtraError
from fitfleet.worker.state.export import export_model
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
try:
    export_model(model, Path(sys.argv[1]) / "model.onnx")
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.slow
def test_without_its_converter_onnx_names_what_to_install(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert process.stdout == (
        "tf2onnx is not installed; it comes with: pip install 'fitfleet[onnx]'\n"
    ), process.stderr
    assert not list(tmp_path.iterdir())

"""Models as files of other runtimes, TensorFlow Lite and ONNX, by Keras's own export.

Before a file gets its name its runtime computes the outputs of a sample, where it is installed, and
they are those of the model.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fitfleet.errors import MissingExtraError
from fitfleet.worker.state.build_variables import ends

_ROWS = 2
_STEPS = 6  # where a dimension is open
# float32, added up in another order.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


def save_for_lite(model: Any, path: Path) -> None:
    """TensorFlow Lite (LiteRT). ValueError for outputs that are others than the model's.

    Of any number of rows; where that needs TensorFlow's own operations (loops), of one row.
    """
    try:
        _save_for_lite(model, path, None)
    except RuntimeError as error:  # the runtime has not TensorFlow's operations
        if "Select TensorFlow op" not in str(error):
            raise
        _save_for_lite(model, path, 1)


def _save_for_lite(model: Any, path: Path, rows: int | None) -> None:
    import tensorflow as tf

    sample, expected = _sample(model, rows or _ROWS)
    model.export(path, format="litert", verbose=False, input_signature=_signature(model, rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that its runtime will be a package apart
        interpreter = tf.lite.Interpreter(model_content=path.read_bytes())
    (name,) = interpreter.get_signature_list()
    run = interpreter.get_signature_runner(name)
    names = _in_order(sorted(run.get_input_details()), [t.name for t in model.inputs])
    outputs = run(**dict(zip(names, sample, strict=True)))
    _check([outputs[name] for name in sorted(outputs)], expected)


def _signature(model: Any, rows: int | None) -> list[Any]:
    """As Keras makes it of the model's inputs, for a batch of `rows` rows."""

    def of(tensor: Any) -> Any:
        return keras.InputSpec(
            shape=(rows, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name
        )

    return [keras.tree.map_structure(of, ends(model)[0])]


def save_for_onnx(model: Any, path: Path) -> None:
    """ONNX. MissingExtraError without its converter, ValueError as above."""
    for name in ("onnx", "tf2onnx"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            raise MissingExtraError(name, "onnx") from None
    sample, expected = _sample(model, _ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the converter, for NumPy's old names
        model.export(path, format="onnx", verbose=False)
    if importlib.util.find_spec("onnxruntime") is None:
        return
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = _in_order([node.name for node in session.get_inputs()], [t.name for t in model.inputs])
    _check(session.run(None, dict(zip(names, sample, strict=True))), expected)


def _sample(model: Any, count: int) -> tuple[list[Any], list[Any]]:
    """`count` rows of each input, in the order of `inputs`, and the outputs; it calls the model."""
    inputs, _ = ends(model)
    rng = np.random.default_rng(0)
    sample = [_rows(tensor, count, rng) for tensor in model.inputs]
    by_name = {tensor.name: rows for tensor, rows in zip(model.inputs, sample, strict=True)}
    inputs_given = keras.tree.map_structure(lambda tensor: by_name[tensor.name], inputs)
    outputs = keras.tree.flatten(model.predict(inputs_given, verbose=0, batch_size=_ROWS))
    return sample, [np.asarray(output) for output in outputs]


def _rows(tensor: Any, count: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    shape = (tensor.shape[0] or count, *(size or _STEPS for size in tensor.shape[1:]))
    if "float" in tensor.dtype:
        return rng.normal(size=shape).astype(tensor.dtype)
    if tensor.dtype == "string":
        raise ValueError(
            "its inputs are texts, which are not converted; use integer codes"
            " of the words as inputs"
        )
    return rng.integers(0, 2, shape).astype(tensor.dtype)


def _in_order(there: list[str], wanted: list[str]) -> list[str]:
    """The runtime's names of the inputs, in the model's order; some write them otherwise."""
    if len(there) == 1:
        return there
    names = [
        next((name for name in there if name.partition(":")[0] == tensor), tensor)
        for tensor in wanted
    ]
    return names if sorted(names) == sorted(there) else there


def _check(outputs: list[Any], expected: list[Any]) -> None:
    is_equal = len(outputs) == len(expected) and all(
        output.shape == other.shape
        and np.allclose(output, other, _RELATIVE, _ABSOLUTE, equal_nan=True)
        for output, other in zip(outputs, expected, strict=True)
    )
    if not is_equal:
        raise ValueError("the file computes other outputs than the model")

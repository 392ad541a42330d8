"""Making the variables of a model that makes them at its first batch: a subclassed one.

Keras's `fit` builds such a model on the way. To load weights into it, it is built from the shapes
and dtypes of the batches that it was trained on, which every weights file carries.
"""

from __future__ import annotations

from typing import Any

from fitfleet.data.arrays import Arrays

_LEAF = "shape"


def inputs_of(arrays: Arrays, *, is_weighted: bool) -> dict[str, Any]:
    """Shapes without the batch, and dtypes, of what a training step is given; JSON."""
    weight = arrays.sample_weight
    if weight is None and is_weighted:
        weight = {_LEAF: [], "dtype": "float32"}  # Keras makes it of the class weights
    return {"x": _tree(arrays.x), "y": _tree(arrays.y), "sample_weight": _tree(weight)}


def build_from(model: Any, inputs: dict[str, Any] | None) -> None:
    """Make what variables a compiled model lacks, its optimizer's included.

    A training step of the model's own is traced, but never run; a model that cannot be built this
    way stays as it is, and loading says what is missing.
    """
    import keras

    has_own_step = type(model).train_step is not keras.Model.train_step
    is_built = all(layer.built for layer in model._flatten_layers())
    if inputs and (has_own_step or not is_built):
        attempts = (_trace, _call) if has_own_step else (_call, _trace)
        for run_once in attempts:
            try:
                run_once(model, _batch(inputs))
                if run_once is _trace:
                    return  # a step makes the variables of those optimizers that it uses
                break
            except Exception:  # the user's own code may raise anything
                continue
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _call(model: Any, batch: Any) -> None:
    model._symbolic_build(data_batch=batch)


def _trace(model: Any, batch: Any) -> None:
    import tensorflow as tf

    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), batch)
    tf.function(model.train_step).get_concrete_function(specs)


def _batch(inputs: dict[str, Any]) -> Any:
    """KerasTensors of a batch, its size left open."""
    parts = [_symbols(inputs[name]) for name in ("x", "y", "sample_weight")]
    while parts and parts[-1] is None:
        parts.pop()
    # As `fit` gives it: inputs alone, and no list of them, are the batch itself.
    is_alone = len(parts) == 1 and not isinstance(parts[0], tuple)
    return parts[0] if is_alone else tuple(parts)


def _tree(part: Any) -> Any:
    if part is None or (isinstance(part, dict) and set(part) == {_LEAF, "dtype"}):
        return part
    if isinstance(part, dict):
        return {"dict": {name: _tree(value) for name, value in part.items()}}
    if isinstance(part, list | tuple):
        return {"list": [_tree(value) for value in part]}
    return {_LEAF: [int(size) for size in part.shape[1:]], "dtype": str(part.dtype)}


def _symbols(tree: Any) -> Any:
    import keras

    if tree is None:
        return None
    if "dict" in tree:
        return {name: _symbols(part) for name, part in tree["dict"].items()}
    if "list" in tree:
        return tuple(map(_symbols, tree["list"]))
    dtype = keras.backend.standardize_dtype(tree["dtype"])
    return keras.KerasTensor((None, *tree[_LEAF]), dtype)


def rate_variable(optimizer: Any) -> Any:
    """The learning rate, where it is no schedule; a loss scale's optimizer has it inside."""
    import keras

    inner = getattr(optimizer, "inner_optimizer", None) or optimizer
    return inner._learning_rate if isinstance(inner._learning_rate, keras.Variable) else None


def ends(model: Any) -> tuple[Any, Any]:
    """KerasTensors of the inputs and outputs that a model declares, in their structure.

    ValueError for a subclassed model, which declares none.
    """
    import keras

    if isinstance(model, keras.Sequential) and model.inputs:
        return model.inputs[0], model.outputs[0]
    if not getattr(model, "inputs", None):
        raise ValueError("it declares no inputs, as models that are Sequential or functional do")
    return model.input, model.output

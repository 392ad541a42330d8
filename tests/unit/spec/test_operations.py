"""Operators of Keras in Functional models: allowed, and their shapes are those that Keras has."""

import json
from typing import Any

import keras
import numpy as np
import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check_model
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.parts.model import model_spec

L, ops = keras.layers, keras.ops
SETTINGS = Settings()
ONE = np.arange(4, dtype="float32")

KNOWN: dict[str, Any] = {
    "sin": ops.sin,
    "cast": lambda i: ops.cast(i > 0.5, "float32"),
    "where": lambda i: ops.where(i > 0.5, i, 0.0),
    "einsum": lambda i: ops.einsum("btf,btg->bfg", i, i),
    "one_hot": lambda i: ops.one_hot(ops.cast(i, "int32"), 5),
    "pad": lambda i: ops.pad(i, ((0, 0), (1, 2), (0, 0))),
    "average_pool": lambda i: L.Flatten()(ops.average_pool(i, 2)),
    "transpose": lambda i: ops.transpose(i, (0, 2, 1)),
    "reshape": lambda i: ops.reshape(i, (-1, 24)),
    "mean": lambda i: ops.mean(i, axis=1),
    "keepdims": lambda i: ops.max(i, axis=(1, 2), keepdims=True),
    "norm": lambda i: ops.norm(i, axis=1),
    "argmax": lambda i: ops.cast(ops.argmax(i, axis=1), "float32"),
    "cumsum": lambda i: ops.cumsum(i, axis=1),
    "concatenate": lambda i: ops.concatenate([i, i], axis=1),
    "stack": lambda i: ops.stack([i, i], axis=1),
    "split": lambda i: ops.split(i, 3, axis=1)[1],
    "split at": lambda i: ops.split(i, [1, 3], axis=1)[1],
    "unstack": lambda i: ops.unstack(i, axis=1)[2],
    "expand": lambda i: ops.expand_dims(i, 1),
    "squeeze": lambda i: ops.squeeze(i[:, :1], 1),
    "slice": lambda i: i[:, 1:5:2],
    "last": lambda i: i[:, -1],
    "ellipsis": lambda i: i[..., 0],
    "new axis": lambda i: i[:, None],
    "repeat": lambda i: ops.repeat(i, 2, axis=1),
    "tile": lambda i: ops.tile(i, (1, 2, 1)),
    "take": lambda i: ops.take(i, [0, 1], axis=1),
    "top_k": lambda i: ops.top_k(i, 2)[0],
    "matmul": lambda i: ops.matmul(i, ops.transpose(i, (0, 2, 1))),
    "swapaxes": lambda i: ops.swapaxes(i, 1, 2),
    "dot with a constant": lambda i: ops.dot(i, np.ones((4, 2), "float32")),
    "constants": lambda i: (i - ONE) / (ONE + 1.0),
    "clip": lambda i: ops.clip(i, 0.0, 0.5),
    "softmax": lambda i: ops.softmax(i, axis=1),
    "stop_gradient": ops.stop_gradient,
}
NOT_KNOWN: dict[str, Any] = {
    "diagonal": lambda i: ops.diagonal(i, axis1=1, axis2=2),
    "unfold": lambda i: ops.moveaxis(i, 1, 2),
    "a mean over the rows": lambda i: ops.mean(i, axis=0),
    "the batch in another place": lambda i: ops.transpose(i, (1, 0, 2)),
}


def canonical(make: Any) -> tuple[Any, Any, Any]:
    start = keras.Input((6, 4))
    model = keras.Model(start, make(start))
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    return model, spec.config, check_model(spec.config, SETTINGS)


@pytest.mark.parametrize("name", KNOWN)
def test_an_operator_has_the_shape_that_keras_gives_it_and_computes_the_same(name: str) -> None:
    model, config, facts = canonical(KNOWN[name])
    if name != "average_pool":
        assert facts.outputs[0].shape == tuple(model.output_shape[1:])
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    x = np.random.default_rng(0).random((3, 6, 4)).astype("float32")
    assert np.array_equal(np.asarray(again(x)), np.asarray(model(x)))


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_a_shape_that_only_keras_knows_is_not_guessed(name: str) -> None:
    assert canonical(NOT_KNOWN[name])[2].outputs[0].shape is None


@pytest.mark.parametrize(
    ("rule", "inputs"),
    [("same", 1), ("broadcast", 2), ("reduce", 1)],
)
def test_every_operator_of_a_simple_rule_has_the_shape_that_keras_gives_it(
    rule: str, inputs: int
) -> None:
    """The table says which operators follow the rule; the rule is ours."""
    from fitfleet.spec.shape_rules.batch_shapes import BATCH
    from fitfleet.spec.shape_rules.operation_rules import BY_KIND

    shapes = [(None, 5, 4), (4,)][:inputs]
    given = [tuple(BATCH if size is None else size for size in shape) for shape in shapes]
    table = catalog._table()["operations"]
    checked = 0
    for module, rows in table.items():
        for name, row in rows.items():
            if row["rule"] != rule or row["arguments"] not in ([], ["name"], *REDUCE):
                continue
            config = {"axis": 1} if rule == "reduce" else {}
            expected = keras_shape(module, name, config, shapes)
            computed = BY_KIND[rule](config, list(given))
            assert tuple(None if s == BATCH else s for s in computed) == expected, name
            checked += 1
    assert checked > 20


REDUCE = (["axis", "keepdims", "name"], ["axis", "keepdims"])


def keras_shape(module: str, name: str, config: Any, shapes: Any) -> Any:
    import importlib

    operation = getattr(importlib.import_module(module), name)(**config)
    for dtype in ("float32", "int32"):
        try:
            tensors = [keras.KerasTensor(shape, dtype) for shape in shapes]
            return tuple(operation.compute_output_spec(*tensors).shape)
        except TypeError:
            continue
    raise AssertionError(name)


@pytest.mark.parametrize("layer", [L.Attention(), L.AdditiveAttention(), L.Attention(dropout=0.1)])
def test_attention_of_masked_inputs_is_accepted(layer: Any) -> None:
    start = keras.Input((5,), dtype="int32")
    embedded = L.Embedding(9, 4, mask_zero=True)(start)
    model = keras.Model(start, L.GlobalAveragePooling1D()(layer([embedded, embedded])))
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    assert check_model(spec.config, SETTINGS).parameters == model.count_params()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i: ops.diagflat(i), "the operator Diagflat is refused: its output may be as large"),
        (lambda i: ops.image.elastic_transform(i[..., None]), "ElasticTransform is refused: it dr"),
        (lambda i: L.Dense(2, activation=ops.sin)(i), "keras.ops.sin(x)"),
        (lambda i: L.Dense(2, name="dense 1")(i), "'dense 1' is not a name for TensorFlow"),
        (lambda i: ops.repeat(i, 10**8, axis=1), "values for each row"),
    ],
)
def test_what_is_refused_is_explained(make: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        canonical(make)
    assert message in str(caught.value)

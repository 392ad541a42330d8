"""A Keras object whose weights are not its initialisers' is told from one that is fresh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.parts import sampled

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.keras_objects.trained_weights import changed_weight, weights_without_initializer
from fitfleet.spec.parts.model import model_spec
from fitfleet.weights.initial_weights import Starting

L = keras.layers


def stack(*layers: Any, shape: tuple[int, ...] = (4,), dtype: str | None = None) -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def attention() -> Any:
    start = keras.Input((5, 4))
    scaled = L.Attention(use_scale=True, score_mode="concat")([start, start])
    heads = L.MultiHeadAttention(2, 3)(scaled, start)
    return keras.Model(
        start, L.AdditiveAttention()([heads, L.GroupQueryAttention(2, 2, 1)(heads, heads)])
    )


MODELS: dict[str, Callable[[], Any]] = {
    "dense": lambda: stack(L.Dense(3), L.BatchNormalization(), L.LayerNormalization(), L.PReLU()),
    "recurrent": lambda: stack(
        L.LSTM(3, return_sequences=True),
        L.Bidirectional(L.GRU(3, return_sequences=True)),
        L.TimeDistributed(L.Dense(2)),
        L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True),
        L.LSTM(2, bias_initializer="random_normal"),
        shape=(5, 2),
    ),
    "convolutional": lambda: stack(
        L.Conv2D(3, 3),
        L.SeparableConv2D(3, 3),
        L.DepthwiseConv2D(3),
        L.Conv2DTranspose(2, 3),
        L.GroupNormalization(1),
        L.SpectralNormalization(L.Conv2D(2, 1)),
        L.RMSNormalization(),
        shape=(12, 12, 3),
    ),
    "convolutional LSTM": lambda: stack(L.ConvLSTM2D(3, 3), shape=(4, 8, 8, 2)),
    "embedding": lambda: stack(L.Embedding(5, 4), L.Flatten(), shape=(3,), dtype="int32"),
    "einsum": lambda: stack(L.EinsumDense("ab,bc->ac", 4, bias_axes="c"), L.Normalization()),
    "attention": attention,
    "half precision": lambda: stack(
        L.Dense(3, dtype="mixed_float16"), L.Dense(2, dtype="bfloat16")
    ),
}


# Keras drops the initialisers of these; training changes others with them.
NOT_SEEN = {"vector_u", "count", "additive_attention/scale"}


@pytest.mark.parametrize("name", sampled(MODELS, "dense"))
def test_a_fresh_model_is_fresh_and_any_one_weight_that_changes_is_seen(name: str) -> None:
    keras.utils.clear_session()
    model = MODELS[name]()
    assert changed_weight(model) is None
    for layer in model._flatten_layers():
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            if {variable.name, f"{layer.name}/{variable.name}"} & NOT_SEEN:
                continue
            before = variable.numpy()
            variable.assign(before.astype("float32") * 1.01 + 0.25)
            assert changed_weight(model) is not None, f"{layer.name}/{variable.name}"
            variable.assign(before)
    assert changed_weight(model) is None


def test_zeros_in_the_place_of_a_random_kernel_are_a_change() -> None:
    model = stack(L.Dense(2, name="head"))
    model.layers[0].kernel.assign(np.zeros((4, 2)))
    assert changed_weight(model) == "head/kernel"


def test_an_adapted_normalization_is_a_change() -> None:
    model = stack(L.Normalization(name="scaling"))
    model.layers[0].adapt(np.arange(40.0).reshape(10, 4))
    assert changed_weight(model) == "scaling/mean"


def test_a_model_that_was_fitted_has_changed_even_where_its_weights_have_not() -> None:
    model = stack(L.Dense(1, use_bias=False))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(np.ones((2, 4)), np.ones((2, 1)), verbose=0)
    assert changed_weight(model) is not None


def test_a_constant_matrix_is_a_choice_and_not_a_fresh_weight() -> None:
    matrix = keras.initializers.Constant(np.ones((5, 4), "float32"))
    model = stack(L.Embedding(5, 4, matrix, name="known"), shape=(3,), dtype="int32")
    assert changed_weight(model) == "known/embeddings"


def test_where_weights_cannot_be_kept_an_object_that_has_some_is_refused() -> None:
    model = stack(L.Dense(1, name="head"))
    model.set_weights([np.ones((4, 1)), np.ones(1)])
    with pytest.raises(SpecError, match=r"^model: the weights .*\(head/kernel\)"):
        model_spec(model, Settings())


class Scaled(keras.layers.Layer):
    """It keeps no initialiser for its weight."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight((shape[-1],), initializer="random_normal", name="scale")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale


def test_a_weight_without_an_initialiser_is_named_unless_others_tell_that_it_was_trained() -> None:
    model = stack(Scaled(name="scaled"), L.Dense(2))
    assert weights_without_initializer(model) == "scaled/scale"
    model.layers[1].kernel.assign(np.ones((4, 2)))
    assert weights_without_initializer(model) is None
    assert weights_without_initializer(stack(L.Dense(2))) is None
    adapted = L.Normalization()
    adapted.adapt(np.arange(8.0).reshape(2, 4))
    assert weights_without_initializer(stack(adapted)) is None


def test_submitting_such_an_object_warns_that_its_weights_are_the_start(tmp_path: Path) -> None:
    starting = Starting(Settings(storage=str(tmp_path)), is_scripted=True)
    with pytest.warns(UserWarning, match=r"whether scaled/scale was trained .* whatever its seed"):
        arguments = starting.resolved({"model": stack(Scaled(name="scaled"))})
    assert arguments["initial_weights"].sha256

"""Initial weights without a build are those of a seeded build, bit for bit."""

from __future__ import annotations

from typing import Any

import keras
import ledger
import nets
import numpy as np
import pytest
from support.parts import sampled

from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.traced.initial_weights import InitialWeights
from fitfleet.worker.models.build import architecture, build

L = keras.layers


def varied() -> nets.Net:
    """Layers and initialisers that no other net has."""

    def model() -> Any:
        words, image = keras.Input((6,), dtype="int32"), keras.Input((9, 9, 2))
        a = L.Embedding(11, 4, embeddings_initializer="he_normal")(words)
        a = L.Bidirectional(L.SimpleRNN(3, recurrent_initializer="random_uniform"))(a)
        b = L.SeparableConv2D(3, 2, depthwise_initializer="lecun_uniform")(image)
        b = L.PReLU(alpha_initializer="truncated_normal")(L.DepthwiseConv2D(2)(b))
        b = L.Conv2D(3, 2, kernel_initializer=keras.initializers.Orthogonal(gain=2.0, seed=7))(b)
        b = L.LayerNormalization()(L.Flatten()(b))
        c = L.Dropout(0.2, seed=3)(L.Concatenate()([a, b]))
        return keras.Model([words, image], L.Dense(2, bias_initializer="normal")(c))

    return nets.Net(model, nets.mlp().arrays, {"optimizer": "sgd", "loss": "mse"})


def attention() -> nets.Net:
    """A layer that makes its initialisers while it is built, so that none can be found."""

    def model() -> Any:
        a = keras.Input((4, 3))
        return keras.Model(a, L.Flatten()(L.MultiHeadAttention(2, 3)(a, a)))

    return nets.Net(model, nets.mlp().arrays, {"optimizer": "sgd", "loss": "mse"})


def compare(net: nets.Net) -> bool:
    """Values of later seeds against builds; whether no build was needed in the end."""
    model = net.build()
    first, *others = (ledger.spec(model, seed=seed, **net.given) for seed in (1, 2, 3, 99))
    built_seeds: list[int] = []

    def built(spec: JobSpec) -> Any:
        built_seeds.append(spec.seed)
        return architecture(spec, ledger.SETTINGS)

    initial = InitialWeights(built, first, build(first, ledger.SETTINGS))
    for spec in others:
        wanted = [v.numpy() for v in architecture(spec, ledger.SETTINGS).variables]
        for a, b in zip(initial.values(spec), wanted, strict=True):
            np.testing.assert_array_equal(np.asarray(a), b)
    return others[-1].seed not in built_seeds


# Attention has initial weights of its own kind: such models are built.
KNOWN = [name for name in nets.ALL if name != "transformer"]
QUICK = ("stacked_lstm", "embedding_lstm", "convolution", "two_inputs_two_outputs", "mixed")


@pytest.mark.parametrize("name", sampled(["varied", *KNOWN], "varied", *QUICK))
def test_values_equal_a_build(name: str) -> None:
    assert compare(varied() if name == "varied" else nets.ALL[name]())


def test_what_is_not_explained_is_built() -> None:
    assert not compare(attention())

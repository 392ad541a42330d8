"""What adapt() found in the script is in the job's config, and gives the same layer again."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check_model
from fitfleet.spec.parts.model import model_spec

L = keras.layers
TEXTS = np.array(["so good", "très bon", "so bad bad"])


def _again(model: Any) -> Any:
    spec, _ = model_spec(model, Settings())
    assert spec.config is not None
    check_model(spec.config, Settings())
    return keras.saving.deserialize_keras_object(spec.config)


@pytest.mark.parametrize(
    "options",
    [
        {"output_sequence_length": 4},
        {"output_mode": "multi_hot"},
        {"output_mode": "count", "max_tokens": 5},
        {"output_mode": "tf_idf"},
        {"output_mode": "tf_idf", "max_tokens": 12, "pad_to_max_tokens": True},
        {"ngrams": 2, "standardize": "lower", "output_sequence_length": 4},
        {"split": "character", "output_sequence_length": 6},
    ],
)
def test_text_vectorization_equals_the_layer_of_keras(options: dict[str, Any]) -> None:
    words = L.TextVectorization(**options)
    words.adapt(TEXTS)
    model = keras.Sequential([L.Input((), dtype="string"), words])
    again = _again(model)
    x = tf.constant(["so so", "un bon film", ""])
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6)
    assert again.layers[0].get_vocabulary() == words.get_vocabulary()


def test_lookups_inside_a_model_in_a_model() -> None:
    words, codes = L.StringLookup(), L.IntegerLookup()
    words.adapt(np.array([["red"], ["blue"], ["red"]]))
    codes.adapt(np.array([[7], [3], [7]]))
    color, code = L.Input((1,), dtype="string"), L.Input((1,), dtype="int64")
    inner = keras.Model(color, L.Embedding(4, 2)(words(color)))
    model = keras.Model([color, code], [inner(color), codes(code)])
    again = _again(model)
    x = [tf.constant([["blue"], ["green"]]), tf.constant([[3], [9]])]
    np.testing.assert_array_equal(again(x)[1], model(x)[1])
    assert again.get_layer(inner.name).layers[1].get_vocabulary() == words.get_vocabulary()

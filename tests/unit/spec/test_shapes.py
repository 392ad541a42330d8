"""Shapes and numbers of weights found without Keras are those that Keras has."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check_model
from fitfleet.spec.parts.model import model_spec

L = keras.layers
SETTINGS = Settings()


def test_the_model_of_a_feature_space_is_known() -> None:
    space = keras.utils.FeatureSpace
    features = {"age": space.float(), "job": space.string_hashed(num_bins=4)}
    crossed = space.cross(("age_group", "job"), crossing_dim=8)
    features["age_group"] = space.integer_hashed(num_bins=3)
    made = space(features, crosses=[crossed], output_mode="concat")
    data = {"age": [1.0, 2.0], "job": ["a", "b"], "age_group": [1, 2]}
    made.adapt(tf.data.Dataset.from_tensor_slices(data).batch(2))
    model = keras.Model(made.get_inputs(), L.Dense(2)(made.get_encoded_features()))
    known = facts(model)
    assert (known.parameters, known.is_exact) == (model.count_params(), True)
    assert [output.shape for output in known.outputs] == [(2,)]


def facts(model: Any) -> Any:
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    return check_model(spec.config, SETTINGS)


LAYERS = [
    ((5,), L.Dense(3)),
    ((4, 5), L.Dense(3, use_bias=False)),
    ((6,), L.Embedding(11, 4, mask_zero=True)),
    ((6, 5), L.SimpleRNN(3)),
    ((6, 5), L.SimpleRNN(3, use_bias=False, return_sequences=True)),
    ((6, 5), L.GRU(3)),
    ((6, 5), L.GRU(3, reset_after=False, return_sequences=True)),
    ((6, 5), L.LSTM(3, return_sequences=True)),
    ((6, 5), L.LSTM(3, use_bias=False)),
    ((None, 5), L.LSTM(3, return_sequences=True)),
    ((6, 5), L.RNN(L.LSTMCell(3))),
    ((6, 5), L.RNN([L.GRUCell(3), L.LSTMCell(2), L.SimpleRNNCell(4)], return_sequences=True)),
    ((6, 5), L.Bidirectional(L.LSTM(3))),
    ((6, 5), L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum")),
    ((6, 5), L.Bidirectional(L.LSTM(3), backward_layer=L.GRU(3, go_backwards=True))),
    ((6, 5), L.TimeDistributed(L.Dense(3))),
    ((6, 8, 8, 3), L.TimeDistributed(L.Conv2D(2, 3))),
    ((4, 9, 2), L.ConvLSTM1D(3, 2)),
    ((4, 9, 2), L.ConvLSTM1D(3, 2, return_sequences=True, padding="same")),
    ((4, 8, 8, 2), L.ConvLSTM2D(3, (3, 2), strides=2)),
    ((3, 5, 5, 5, 2), L.ConvLSTM3D(2, 2, use_bias=False)),
    ((9, 4), L.Conv1D(3, 2, padding="causal", dilation_rate=2)),
    ((9, 4), L.Conv1D(6, 3, strides=2, groups=2)),
    ((9, 8, 4), L.Conv2D(3, (3, 2), strides=(2, 1), padding="same")),
    ((9, 8, 4), L.Conv2D(3, 3, dilation_rate=2, use_bias=False)),
    ((6, 6, 6, 2), L.Conv3D(3, 2)),
    ((9, 4), L.Conv1DTranspose(3, 3, strides=2)),
    ((9, 8, 4), L.Conv2DTranspose(3, (3, 2), strides=2, padding="same")),
    ((9, 8, 4), L.Conv2DTranspose(3, 2, strides=3)),
    ((4, 4, 4, 2), L.Conv3DTranspose(3, 2)),
    ((9, 4), L.SeparableConv1D(3, 2, depth_multiplier=2)),
    ((9, 8, 4), L.SeparableConv2D(3, 2, padding="same")),
    ((9, 4), L.DepthwiseConv1D(2, depth_multiplier=3)),
    ((9, 8, 4), L.DepthwiseConv2D(3, use_bias=False)),
    ((9, 4), L.MaxPooling1D()),
    ((9, 8, 4), L.MaxPooling2D(3, padding="same")),
    ((9, 8, 4), L.AveragePooling2D((2, 3), strides=1)),
    ((6, 6, 6, 2), L.MaxPooling3D()),
    ((9, 4), L.GlobalMaxPooling1D()),
    ((9, 8, 4), L.GlobalAveragePooling2D(keepdims=True)),
    ((9, 4), L.ZeroPadding1D((1, 2))),
    ((9, 8, 4), L.ZeroPadding2D(((1, 0), (2, 2)))),
    ((9, 8, 4), L.ZeroPadding2D((1, 2))),
    ((4, 4, 4, 2), L.ZeroPadding3D(1)),
    ((9, 4), L.Cropping1D(2)),
    ((9, 8, 4), L.Cropping2D(((1, 1), (0, 2)))),
    ((9, 4), L.UpSampling1D(3)),
    ((9, 8, 4), L.UpSampling2D((2, 3))),
    ((4, 4, 4, 2), L.UpSampling3D(2)),
    ((4, 6), L.BatchNormalization()),
    ((4, 6), L.BatchNormalization(axis=1, scale=False)),
    ((4, 6), L.LayerNormalization()),
    ((4, 6), L.LayerNormalization(axis=[1, 2], center=False)),
    ((4, 6), L.GroupNormalization(3)),
    ((4, 6), L.RMSNormalization()),
    ((4, 6), L.UnitNormalization()),
    ((6,), L.SpectralNormalization(L.Dense(3))),
    ((4, 6), L.PReLU()),
    ((4, 6), L.PReLU(shared_axes=[1])),
    ((4, 6), L.LeakyReLU()),
    ((4, 6), L.ELU()),
    ((4, 6), L.ReLU()),
    ((4, 6), L.Softmax()),
    ((4, 6), L.Activation("tanh")),
    ((4, 6), L.Dropout(0.5)),
    ((4, 6), L.SpatialDropout1D(0.5)),
    ((4, 6), L.GaussianNoise(0.5)),
    ((4, 6), L.GaussianDropout(0.5)),
    ((4, 6), L.AlphaDropout(0.5)),
    ((4, 6), L.ActivityRegularization(0.1)),
    ((4, 6), L.Masking()),
    ((4, 6), L.Identity()),
    ((4, 6), L.Rescaling(0.5)),
    ((4, 6), L.Flatten()),
    ((4, 6), L.Reshape((3, 8))),
    ((4, 6), L.Reshape((-1, 2))),
    ((4, 6), L.Permute((2, 1))),
    ((6,), L.RepeatVector(4)),
    ((9, 8, 3), L.Resizing(4, 5)),
    ((9, 8, 3), L.CenterCrop(4, 5)),
    ((9, 8, 3), L.RandomCrop(4, 5)),
    ((9, 8, 3), L.RandomFlip()),
    ((9, 8, 3), L.RandomZoom(0.2)),
    ((4, 6), L.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")),
    ((4, 6), L.EinsumDense("...x,xy->...y", output_shape=5)),
    ((6,), L.EinsumDense("ab,bcd->acd", output_shape=(3, 2), bias_axes="cd")),
    ((9, 4), L.Conv1DTranspose(3, 3, strides=2, output_padding=1)),
    ((9, 8, 4), L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)),
    ((4, 6), L.BatchNormalization(renorm=True)),
    ((9, 8, 4), L.AdaptiveAveragePooling2D((3, 2))),
    ((9, 4), L.AdaptiveMaxPooling1D(3)),
    ((4, 6), L.Normalization()),
    ((4, 6), L.Normalization(mean=1.0, variance=2.0)),
    ((1,), L.CategoryEncoding(num_tokens=5, output_mode="one_hot")),
    ((3,), L.CategoryEncoding(num_tokens=5)),
    ((3,), L.Discretization(bin_boundaries=[0.0, 1.0])),
    ((3,), L.Discretization(bin_boundaries=[0.0, 1.0], output_mode="one_hot")),
    ((4, 2), L.TimeDistributed(keras.Sequential([keras.Input((2,)), L.Dense(3)]))),
]


@pytest.mark.parametrize(("shape", "layer"), LAYERS, ids=lambda part: getattr(part, "name", ""))
def test_a_layer_has_the_shape_and_the_weights_that_keras_gives_it(shape: Any, layer: Any) -> None:
    dtype = "int32" if isinstance(layer, L.Embedding) else None
    model = keras.Sequential([keras.Input(shape, dtype=dtype), layer])
    computed = facts(model)
    assert computed.outputs[0].shape == model.output_shape[1:]
    assert (computed.parameters, computed.is_exact) == (model.count_params(), True)


def functional_models() -> list[Any]:
    left, right = keras.Input((6, 4)), keras.Input((6, 4))
    merges = [
        L.Add()([left, right]),
        L.Subtract()([left, right]),
        L.Multiply()([left, right]),
        L.Average()([left, right]),
        L.Maximum()([left, right]),
        L.Minimum()([left, right]),
        L.Concatenate()([left, right]),
        L.Concatenate(axis=1)([left, right]),
        L.Dot(axes=2)([left, right]),
        L.Dot(axes=(1, 1))([left, right]),
        L.Attention(use_scale=True)([left, right]),
        L.Attention(score_mode="concat")([left, right]),
        L.AdditiveAttention()([left, right]),
        L.MultiHeadAttention(2, 3)(left, right),
        L.MultiHeadAttention(2, 3, value_dim=5, output_shape=7, use_bias=False)(left, right, right),
        L.GroupQueryAttention(3, 4, 2)(left, right),
        L.MultiHeadAttention(2, 3, value_dim=5, use_gate=True)(left, right),
        L.GroupQueryAttention(3, 4, 2, use_gate=True)(left, right),
        left * 2.0 + right,
        keras.ops.sqrt(left) - right,
    ]
    models = [keras.Model([left, right], out) for out in merges]
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    shared = L.Dense(5)
    sequence, *states = L.LSTM(4, return_sequences=True, return_state=True)(
        L.Embedding(20, 3, mask_zero=True)(tokens)
    )
    models.append(keras.Model(tokens, [shared(sequence), shared(states[0])]))
    encoder = keras.Input((7, 2), name="encoder")
    decoder = keras.Input((5, 3), name="decoder")
    _, h, c = L.LSTM(4, return_state=True)(encoder)
    decoded = L.LSTM(4, return_sequences=True)(decoder, initial_state=[h, c])
    models.append(keras.Model([encoder, decoder], L.TimeDistributed(L.Dense(6))(decoded)))
    models.append(keras.Model(encoder, L.Bidirectional(L.GRU(3, return_state=True))(encoder)))
    inner = keras.Sequential([keras.Input((7, 2)), L.Flatten(), L.Dense(3)])
    models.append(keras.Model(encoder, L.Dense(2)(inner(encoder))))
    models.append(keras.Model(encoder, L.Dense(2)(encoder[:, 0])))
    return models


@pytest.mark.parametrize("model", functional_models(), ids=lambda model: str(model.name))
def test_a_functional_model_has_the_shapes_and_weights_that_keras_gives_it(model: Any) -> None:
    computed = facts(model)
    expected = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(model.outputs)]
    assert [out.shape for out in computed.outputs] == expected
    assert (computed.parameters, computed.is_exact) == (model.count_params(), True)


def test_what_is_not_known_is_reported_not_to_be_known() -> None:
    start = keras.Input((4, 3))
    computed = facts(keras.Model(start, L.Dense(2)(keras.ops.diagonal(start, axis1=1, axis2=2))))
    assert computed.outputs[0].shape is None
    assert not computed.is_exact


def test_an_input_that_is_not_declared_leaves_the_shape_open() -> None:
    model = keras.Sequential([L.Embedding(1024, 16), L.LSTM(8), L.Dense(1, activation="sigmoid")])
    computed = facts(model)
    assert computed.inputs == []
    assert computed.outputs[0].shape is None
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    computed = check_model(spec.config, SETTINGS, input_shape=(50,))
    model.build((None, 50))
    assert computed.outputs[0].shape == (1,)
    assert computed.parameters == model.count_params()


def test_state_batch_size_and_activation_are_reported() -> None:
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(16, 5, 3), name="series"),
            L.LSTM(4, stateful=True),
            L.Dense(3, activation="softmax", name="odds"),
        ]
    )
    computed = facts(model)
    assert (computed.is_stateful, computed.batch_size) == (True, 16)
    assert [(i.name, i.shape, i.dtype) for i in computed.inputs] == [("series", (5, 3), "float32")]
    assert [(o.name, o.activation) for o in computed.outputs] == [("odds", "softmax")]


def test_the_codes_that_an_embedding_knows_are_those_of_its_input() -> None:
    sequential = keras.Sequential([L.Input((6,)), L.Embedding(11, 4), L.LSTM(3)])
    assert [inputs.codes for inputs in facts(sequential).inputs] == [11]
    words, numbers = L.Input((6,)), L.Input((4,))
    read = L.Embedding(7, 4)(words)
    joined = L.Concatenate()([L.LSTM(3)(read), numbers])
    functional = keras.Model([words, numbers], L.Dense(1)(joined))
    assert [inputs.codes for inputs in facts(functional).inputs] == [7, None]

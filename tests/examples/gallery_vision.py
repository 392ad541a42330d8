"""Models of Keras's example gallery that classify pictures, each with its parts and small.

Pictures are (8, 8, 3), of three classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def _pictures(**more: Any) -> Any:
    return keras.Input((8, 8, 3), **more)


def _compiled(inputs: Any, outputs: Any, optimizer: Any = "adam", **more: Any) -> Any:
    model = keras.Model(inputs, outputs)
    given = {
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": [keras.metrics.SparseCategoricalAccuracy(name="acc")],
    }
    model.compile(optimizer=optimizer, **(given | more))
    return model


def from_scratch() -> Any:
    """image_classification_from_scratch: separable convolutions and residuals."""
    inputs = _pictures()
    x = layers.RandomRotation(0.1, seed=2)(layers.RandomFlip("horizontal", seed=1)(inputs))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(x))
    x = previous = layers.Activation("relu")(layers.BatchNormalization()(x))
    for size in (6, 8):
        x = layers.SeparableConv2D(size, 3, padding="same")(layers.Activation("relu")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(layers.BatchNormalization()(x))
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous)
        x = previous = layers.add([x, residual])
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return _compiled(inputs, layers.Dense(3, activation=None)(x), keras.optimizers.Adam(3e-4))


class Patches(layers.Layer):
    """image_classification_with_vision_transformer, object_detection_using_vision_transformer."""

    def __init__(self, patch_size: int, **more: Any) -> None:
        super().__init__(**more)
        self.patch_size = patch_size

    def call(self, images: Any) -> Any:
        shape = ops.shape(images)
        count = (shape[1] // self.patch_size) * (shape[2] // self.patch_size)
        patches = ops.image.extract_patches(images, size=self.patch_size)
        return ops.reshape(patches, (shape[0], count, self.patch_size**2 * shape[3]))

    def get_config(self) -> Any:
        return super().get_config() | {"patch_size": self.patch_size}


class PatchEncoder(layers.Layer):
    def __init__(self, num_patches: int, projection_dim: int, **more: Any) -> None:
        super().__init__(**more)
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(num_patches, projection_dim)

    def call(self, patch: Any) -> Any:
        positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
        return self.projection(patch) + self.position_embedding(positions)

    def get_config(self) -> Any:
        return super().get_config() | {"num_patches": self.num_patches}


def _transformed(x: Any, width: int) -> Any:
    x1 = layers.LayerNormalization(epsilon=1e-6)(x)
    attended = layers.MultiHeadAttention(2, width, dropout=0.1)(x1, x1)
    x2 = layers.Add()([attended, x])
    x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
    x3 = layers.Dense(2 * width, activation=keras.activations.gelu)(x3)
    return layers.Add()([layers.Dense(width)(layers.Dropout(0.1)(x3)), x2])


def vision_transformer() -> Any:
    inputs = _pictures()
    x = PatchEncoder(4, 6)(Patches(4)(layers.RandomZoom(0.2, 0.2, seed=3)(inputs)))
    x = layers.LayerNormalization(epsilon=1e-6)(_transformed(x, 6))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top-2-accuracy")
    adamw = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=1e-4)
    return _compiled(inputs, layers.Dense(3)(x), adamw, metrics=["accuracy", top])


def _inverted_residual(x: Any, expanded: int, channels: int, strides: int) -> Any:
    m = layers.Conv2D(expanded, 1, padding="same", use_bias=False)(x)
    m = keras.activations.swish(layers.BatchNormalization()(m))
    if strides == 2:
        m = layers.ZeroPadding2D(padding=((0, 1), (0, 1)))(m)
    padding = "same" if strides == 1 else "valid"
    m = layers.DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False)(m)
    m = keras.activations.swish(layers.BatchNormalization()(m))
    m = layers.BatchNormalization()(layers.Conv2D(channels, 1, padding="same", use_bias=False)(m))
    return layers.Add()([m, x]) if x.shape[-1] == channels and strides == 1 else m


def mobilevit() -> Any:
    """A transformer on patches that are unfolded by Reshape and folded again."""
    inputs = _pictures()
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation=keras.activations.swish)(x)
    x = _inverted_residual(_inverted_residual(x, 8, 4, 1), 8, 6, 2)
    local = layers.Conv2D(6, 1, activation=keras.activations.swish)(x)
    folded = layers.Reshape((4, 4, 6))(local)
    folded = layers.Reshape((4, 4, 6))(_transformed(folded, 6))
    both = layers.Concatenate(axis=-1)([x, layers.Conv2D(6, 1)(folded)])
    x = layers.GlobalAvgPool2D()(layers.Conv2D(6, 3, padding="same")(both))
    outputs = layers.Dense(3, activation="softmax")(x)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    return _compiled(inputs, outputs, loss=loss, metrics=["accuracy"])


def x_rays() -> Any:
    """xray_classification_with_tpus: class weights, metrics of counts, a decaying rate."""
    inputs = _pictures()
    x = layers.Rescaling(1.0 / 255)(inputs)
    for filters in (4, 6):
        x = layers.SeparableConv2D(filters, 3, activation="relu", padding="same")(x)
        x = layers.MaxPool2D()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.7)(layers.Dense(4, activation="relu")(layers.Flatten()(x)))
    rate = keras.optimizers.schedules.ExponentialDecay(0.015, 5, 0.96, staircase=True)
    metrics = [
        keras.metrics.BinaryAccuracy(),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
    ]
    outputs = layers.Dense(1, activation="sigmoid")(x)
    optimizer = keras.optimizers.Adam(learning_rate=rate)
    return _compiled(inputs, outputs, optimizer, loss="binary_crossentropy", metrics=metrics)


def _conv_block(
    x: Any,
    filters: int,
    activation: Any = layers.LeakyReLU(0.2, name="shared"),  # noqa: B008
) -> Any:
    x = layers.Conv2D(filters, 3, 1, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return activation(x) if activation else x


def learnable_resizer() -> Any:
    """A model in a model; an activation layer that is the default of an argument."""
    inner = layers.Input(shape=[None, None, 3])
    naive = layers.Resizing(4, 4, interpolation="bilinear")(inner)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(4, 7, padding="same")(inner))
    bottleneck = layers.Resizing(4, 4, interpolation="bilinear")(layers.BatchNormalization()(x))
    x = layers.Add()([bottleneck, _conv_block(_conv_block(bottleneck, 4), 4, activation=None)])
    x = layers.Conv2D(3, 7, padding="same")(layers.Add()([bottleneck, x]))
    resizer = keras.Model(inner, layers.Add()([naive, x]), name="learnable_resizer")
    inputs = _pictures()
    x = resizer(layers.Rescaling(scale=1.0 / 255)(inputs))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    outputs = layers.Dense(3, activation="softmax")(x)
    return _compiled(inputs, outputs, "sgd", loss=loss, metrics=["accuracy"])


def fine_tuned() -> Any:
    """image_classification_efficientnet_fine_tuning, fixres: a base that is frozen in part."""
    first = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="stem")(first))
    base = keras.Model(first, layers.Conv2D(4, 3, activation="swish", name="top_conv")(x))
    base.trainable = True
    for layer in base.layers[:-1]:
        layer.trainable = False
    inputs = _pictures()
    x = layers.GlobalAveragePooling2D(name="avg_pool")(base(inputs, training=False))
    x = layers.Dropout(0.2, name="top_dropout")(layers.BatchNormalization()(x))
    outputs = layers.Dense(3, activation="softmax", name="pred")(x)
    loss, rate = "categorical_crossentropy", keras.optimizers.Adam(1e-2)
    return _compiled(inputs, outputs, rate, loss=loss, metrics=["accuracy"])


class SqueezeExcite(layers.Layer):
    """image_classification_using_global_context_vision_transformer: layers made in `build`."""

    def __init__(self, output_dim: int | None = None, expansion: float = 0.5, **more: Any) -> None:
        super().__init__(**more)
        self.expansion, self.output_dim = expansion, output_dim

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1]
        self.output_dim = self.output_dim or size
        self.avg_pool = layers.GlobalAvgPool2D(keepdims=True, name="avg_pool")
        self.fc = [
            layers.Dense(int(size * self.expansion), use_bias=False, name="fc_0"),
            layers.Activation("gelu", name="fc_1"),
            layers.Dense(self.output_dim, use_bias=False, name="fc_2"),
            layers.Activation("sigmoid", name="fc_3"),
        ]
        super().build(input_shape)

    def call(self, inputs: Any, **_: Any) -> Any:
        x = self.avg_pool(inputs)
        for layer in self.fc:
            x = layer(x)
        return x * inputs


class DropPath(layers.Layer):
    def __init__(self, rate: float, **more: Any) -> None:
        super().__init__(**more)
        self.rate, self.seeds = rate, keras.random.SeedGenerator(5)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        kept = keras.random.uniform(shape, seed=self.seeds) + 1 - self.rate
        return x / (1 - self.rate) * ops.floor(kept)


class GlobalContext(keras.Model):
    """Windows of the picture in attention with queries of the whole."""

    def __init__(self, width: int, **more: Any) -> None:
        super().__init__(**more)
        self.width = width
        self.stem = layers.Conv2D(width, 3, 2, padding="same", name="proj")
        self.squeeze, self.drop = SqueezeExcite(), DropPath(0.2)
        self.attention = layers.MultiHeadAttention(1, width)
        self.pool, self.head = layers.GlobalAvgPool2D(), layers.Dense(3, activation="softmax")

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.built = True

    def call(self, inputs: Any, **_: Any) -> Any:
        x = self.squeeze(self.stem(inputs))
        windows = ops.reshape(x, (-1, 4, 4, self.width))
        query = ops.repeat(ops.mean(x, axis=(1, 2), keepdims=True), 4, axis=1)[:, :, 0]
        mixed = self.attention(query, ops.reshape(windows, (-1, 16, self.width)))
        return self.head(self.pool(x + self.drop(ops.expand_dims(mixed, 2))))


def global_context() -> Any:
    model = GlobalContext(4, name="GCViT")
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

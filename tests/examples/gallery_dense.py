"""Models of Keras's example gallery whose outputs are pictures, points, boxes or films, small."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gallery_layers import Orthogonal
from gallery_vision import PatchEncoder, Patches
from keras import layers, ops


def unet() -> Any:
    """oxford_pets_image_segmentation."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = previous = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(6, 3, padding="same")(layers.Activation("relu")(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(layers.BatchNormalization()(x))
    x = previous = layers.add([x, layers.Conv2D(6, 1, strides=2, padding="same")(previous)])
    for filters in (6, 4):
        x = layers.Conv2DTranspose(filters, 3, padding="same")(layers.Activation("relu")(x))
        x = layers.UpSampling2D(2)(layers.BatchNormalization()(x))
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
        x = previous = layers.add([x, residual])
    model = keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x))
    model.compile(keras.optimizers.Adam(1e-4), loss="sparse_categorical_crossentropy")
    return model


def _dilated(x: Any, rate: int, size: int = 3) -> Any:
    he = keras.initializers.HeNormal()
    x = layers.Conv2D(
        4, size, dilation_rate=rate, padding="same", use_bias=False, kernel_initializer=he
    )(x)
    return ops.nn.relu(layers.BatchNormalization()(x))


def deeplab() -> Any:
    """deeplabv3_plus: pyramids of dilated convolutions, layers of a base by their name."""
    first = keras.Input(shape=(8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv2_block3_2_relu")(first)
    base = keras.Model(first, layers.Conv2D(4, 3, padding="same", name="conv4_block6")(x))
    x = base.get_layer("conv4_block6").output
    pooled = layers.AveragePooling2D(pool_size=(x.shape[-3], x.shape[-2]))(x)
    pooled = layers.UpSampling2D(size=(4, 4), interpolation="bilinear")(_dilated(pooled, 1, 1))
    x = layers.Concatenate(axis=-1)([pooled, _dilated(x, 1), _dilated(x, 6), _dilated(x, 12)])
    low = _dilated(base.get_layer("conv2_block3_2_relu").output, 1, 1)
    x = layers.Concatenate(axis=-1)([_dilated(x, 1, 1), low])
    x = layers.UpSampling2D(size=(2, 2), interpolation="bilinear")(_dilated(x, 1))
    model = keras.Model(first, layers.Conv2D(3, kernel_size=(1, 1), padding="same")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss=loss, metrics=["accuracy"])
    return model


def charbonnier_loss(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.sqrt(ops.square(y_true - y_pred) + ops.square(1e-3)))


def peak_signal_noise_ratio(y_true: Any, y_pred: Any) -> Any:
    return tf.image.psnr(y_pred, y_true, max_val=255.0)


def _both_attentions(x: Any) -> Any:
    peak = ops.expand_dims(ops.max(x, axis=-1), axis=-1)
    mean = ops.expand_dims(ops.mean(x, axis=-1), axis=-1)
    spatial = layers.Concatenate(axis=-1)([mean, peak])
    spatial = ops.sigmoid(layers.Conv2D(1, kernel_size=(1, 1))(spatial))
    channel = ops.expand_dims(ops.expand_dims(layers.GlobalAveragePooling2D()(x), 1), 1)
    channel = layers.Conv2D(4, kernel_size=(1, 1), activation="sigmoid")(channel)
    return layers.Concatenate(axis=-1)([x * spatial, x * channel])


def mirnet() -> Any:
    """Operations on tensors, a loss and a metric that are functions."""
    inputs = keras.Input(shape=[None, None, 3])
    x = layers.Conv2D(4, kernel_size=(3, 3), padding="same")(inputs)
    down = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(x))
    x = layers.Add()([x, layers.UpSampling2D(2, interpolation="bilinear")(down)])
    x = layers.Conv2D(3, 3, padding="same")(_both_attentions(x))
    model = keras.Model(inputs, layers.Add()([inputs, x]))
    model.compile(
        keras.optimizers.Adam(1e-4), loss=charbonnier_loss, metrics=[peak_signal_noise_ratio]
    )
    return model


class BASNet(keras.Model):
    """basnet_segmentation: a functional model as a class; compute_loss of several outputs."""

    def __init__(self, input_shape: Any, out_classes: int) -> None:
        first = layers.Input(input_shape)
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(first)
        coarse = layers.Conv2D(out_classes, 3, padding="same")(x)
        fine = layers.Conv2D(out_classes, 3, padding="same")(coarse)
        outputs = [layers.Activation("sigmoid")(part) for part in (fine, coarse)]
        super().__init__(inputs=first, outputs=outputs)
        self.smooth = 1.0e-9
        self.cross_entropy_loss = keras.losses.BinaryCrossentropy()
        self.ssim_value = tf.image.ssim
        self.iou_value = self.calculate_iou

    def calculate_iou(self, y_true: Any, y_pred: Any) -> Any:
        both = ops.sum(ops.abs(y_true * y_pred), axis=[1, 2, 3])
        union = ops.sum(y_true, [1, 2, 3]) + ops.sum(y_pred, [1, 2, 3]) - both
        return ops.mean((both + self.smooth) / (union + self.smooth), axis=0)

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, **_: Any) -> Any:
        total = 0.0
        for part in y_pred:
            alike = self.ssim_value(y, part, max_val=1, filter_size=3)
            total += self.cross_entropy_loss(y, part) + ops.mean(1 - alike + self.smooth, axis=0)
            total += 1 - self.iou_value(y, part)
        return total


def basnet() -> Any:
    model = BASNet(input_shape=[8, 8, 3], out_classes=1)
    metrics = [keras.metrics.MeanAbsoluteError(name="mae") for _ in model.outputs]
    model.compile(keras.optimizers.Adam(1e-4, epsilon=1e-8), metrics=metrics)
    return model


def boxes() -> Any:
    """object_detection_using_vision_transformer, keypoint_detection: numbers of a picture."""
    inputs = layers.Input(shape=(8, 8, 3))
    encoded = PatchEncoder(4, 6)(Patches(4)(inputs))
    x1 = layers.LayerNormalization(epsilon=1e-6)(encoded)
    attended = layers.MultiHeadAttention(num_heads=2, key_dim=6, dropout=0.1)(x1, x1)
    x = layers.Dropout(0.3)(layers.Flatten()(layers.Add()([attended, encoded])))
    x = layers.Dense(6, activation=keras.activations.gelu)(x)
    model = keras.Model(inputs=inputs, outputs=layers.Dense(4)(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001)
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())
    return model


def points() -> Any:
    """pointnet_segmentation: a regularizer of its own, tiles, named layers."""
    inputs = keras.Input(shape=(None, 3))
    x = layers.Conv1D(4, 1, name="input_1_conv")(inputs)
    x = layers.BatchNormalization(momentum=0.0, name="input_1_batch_norm")(x)
    x = layers.GlobalMaxPooling1D()(layers.Activation("relu", name="input_1_relu")(x))
    x = layers.Dense(
        9,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(np.eye(3).flatten()),
        activity_regularizer=Orthogonal(3),
        name="input_final",
    )(x)
    moved = layers.Dot(axes=(2, 1), name="input_mm")([inputs, layers.Reshape((3, 3))(x)])
    features = layers.Conv1D(4, 1, activation="relu", name="features_64")(moved)
    whole = ops.tile(layers.MaxPool1D(pool_size=16, name="global_features")(features), [1, 16, 1])
    x = layers.Concatenate(name="segmentation_input")([features, whole])
    outputs = layers.Conv1D(3, 1, activation="softmax", name="segmentation_head")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss=keras.losses.CategoricalCrossentropy(), metrics=["accuracy"])
    return model


def film() -> Any:
    """video_classification: features of pictures and a mask as two inputs."""
    features = keras.Input((5, 6))
    mask = keras.Input((5,), dtype="bool")
    x = layers.GRU(4, return_sequences=True)(features, mask=mask)
    x = layers.Dropout(0.4)(layers.GRU(3)(x))
    model = keras.Model([features, mask], layers.Dense(3, activation="softmax")(x))
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model

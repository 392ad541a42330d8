"""Builders: functions that return a Keras model. `ff.builder("models:name", ...)` calls them.

A builder is called where the job is submitted, so the workers need no file of yours; they get
the model's config.
"""

from __future__ import annotations

import keras
from keras import layers


def steps_and_states(units: int, timesteps: int, features: int) -> keras.Model:
    """An LSTM read in both ways: every step's output, and its last hidden and cell state.

    Outputs: `steps`, shape (batch, timesteps, 1), from `return_sequences`; `last`, shape
    (batch, 1), from the two states of `return_state`.
    """
    inputs = layers.Input((timesteps, features), name="series")
    sequence, hidden, cell = layers.LSTM(units, return_sequences=True, return_state=True)(inputs)
    steps = layers.TimeDistributed(layers.Dense(1), name="steps")(sequence)
    last = layers.Dense(1, name="last")(layers.Concatenate()([hidden, cell]))
    return keras.Model(inputs, {"steps": steps, "last": last})


def encoder_decoder(units: int, symbols: int) -> keras.Model:
    """Reads a sequence, and writes another from the states that the reading ended in.

    Inputs: `source` and `target_before` (the answer, one step late), each of shape
    (batch, steps, symbols). Output: shape (batch, steps, symbols), a softmax for each step.
    """
    source = layers.Input((None, symbols), name="source")
    target_before = layers.Input((None, symbols), name="target_before")
    _, hidden, cell = layers.LSTM(units, return_state=True)(source)
    decoder = layers.LSTM(units, return_sequences=True)
    sequence = decoder(target_before, initial_state=[hidden, cell])
    outputs = layers.Dense(symbols, activation="softmax")(sequence)
    return keras.Model([source, target_before], outputs)


def attentive(units: int, symbols: int) -> keras.Model:
    """Reads a sequence of symbols, and writes another with attention on what it has read.

    Inputs: `source` and `target_before` (the answer, one step late), each of shape
    (batch, steps), of whole numbers. Output: (batch, steps, symbols), a softmax for each step.
    """
    source = layers.Input((None,), dtype="int64", name="source")
    target_before = layers.Input((None,), dtype="int64", name="target_before")
    embed = layers.Embedding(symbols, units)
    read, hidden, cell = layers.LSTM(units, return_sequences=True, return_state=True)(embed(source))
    decoder = layers.LSTM(units, return_sequences=True)
    written = decoder(embed(target_before), initial_state=[hidden, cell])
    context = layers.Attention()([written, read])
    outputs = layers.Dense(symbols, activation="softmax")(layers.Concatenate()([written, context]))
    return keras.Model([source, target_before], outputs)


def stacked_lstm(units: int, dropout: float) -> keras.Model:
    """Two LSTMs, one on the other, that read an image of (8, 8) line by line: one of ten digits."""
    return keras.Sequential(
        [
            layers.Input((8, 8)),
            layers.LSTM(units, return_sequences=True),
            layers.LSTM(32, dropout=dropout),
            layers.Dense(10, activation="softmax"),
        ]
    )

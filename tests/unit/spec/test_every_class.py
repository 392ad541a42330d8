"""Every class of Keras is allowed, and then works as Keras makes it, or left out on purpose."""

import importlib
import inspect
import json
from typing import Any

import keras
import pytest

from fitfleet.spec.keras_names import catalog, disallowed_names
from fitfleet.spec.keras_names.make_names import ONE_OF, SAMPLES
from fitfleet.spec.keras_names.make_operations import MODULES, classes
from fitfleet.spec.keras_objects.canonical import canonical_layer
from fitfleet.spec.keras_objects.object_documents import reference, to_document

KINDS = [kind for kind in catalog.MODULES if kind != "callbacks"]
OBJECTS = [(kind, name) for kind in KINDS for name in catalog.class_names(kind)]


def example(kind: str, name: str) -> Any:
    """An object of the class with its required arguments only."""
    signature = catalog.signature(kind, name)
    assert signature is not None
    inner = {"layer": keras.layers.LSTM(2), "cell": keras.layers.LSTMCell(2)}
    samples = {**SAMPLES, **inner, "cells": [keras.layers.LSTMCell(2)], **ONE_OF.get(name, {})}
    if name == "SpectralNormalization":
        samples["layer"] = keras.layers.Dense(2)
    if name == "InputLayer":
        return keras.layers.InputLayer(shape=(2,))
    wanted = [*signature.required, *ONE_OF.get(name, ())]
    cls = getattr(importlib.import_module(signature.module), name, None)
    cls = cls or getattr(keras.layers, name)
    return cls(**{argument: samples[argument] for argument in wanted})


@pytest.mark.parametrize(("kind", "name"), OBJECTS, ids=lambda part: part)
def test_a_class_with_its_defaults_is_built_from_its_canonical_form(kind: str, name: str) -> None:
    original = example(kind, name)
    document = to_document(original, kind)
    if kind == "layers":
        document = canonical_layer(document, "layer")
    else:
        document = reference(kind, document, kind)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(document)))
    assert type(again) is type(original)
    left, right = (
        keras.saving.serialize_keras_object(value)["config"] for value in (original, again)
    )
    assert without_names(left) == without_names(right)


def without_names(value: Any) -> Any:
    """A config without the names and seeds that Keras makes up."""
    if isinstance(value, dict):
        return {k: without_names(v) for k, v in value.items() if k not in ("name", "seed")}
    return [without_names(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", catalog.MODULES)
def test_every_public_class_of_keras_is_allowed_or_left_out_with_a_reason(kind: str) -> None:
    public = importlib.import_module(catalog.MODULES[kind])
    names = {value.__name__ for value in vars(public).values() if inspect.isclass(value)}
    names -= {"GroupedQueryAttention"}  # the class behind the public name GroupQueryAttention
    known, refused = set(catalog.class_names(kind)), set(disallowed_names.REASONS.get(kind, ()))
    assert names - known - refused == set()
    assert known & refused == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_operator_of_keras_is_allowed_or_left_out_with_a_reason(module: str) -> None:
    for name in classes(module):
        allowed = catalog.operation(f"keras.src.ops.{module}", name) is not None
        assert allowed != (name in disallowed_names.OPERATIONS), name


@pytest.mark.parametrize("kind", disallowed_names.REASONS)
def test_a_name_that_keras_has_is_answered_with_a_reason_not_with_a_spelling(kind: str) -> None:
    for name, why in disallowed_names.REASONS[kind].items():
        assert hasattr(importlib.import_module(catalog.MODULES[kind]), name)
        assert why[-1] != "."
        assert "did you mean" not in why

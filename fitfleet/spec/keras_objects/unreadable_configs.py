"""Configs that Keras 3 does not read as a Sequential or Functional model."""

from __future__ import annotations

from inspect import isfunction, signature
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_objects.canonical import model_kind
from fitfleet.spec.keras_objects.custom_objects import model_subclass_refusal
from fitfleet.spec.keras_objects.object_documents import is_custom
from fitfleet.text import with_article


def check_config(document: Any) -> None:
    """Raises SpecError for what is no config, and for configs of custom classes or Keras 2."""
    if not isinstance(document, dict):
        raise SpecError("model", "it is not the config of a Keras model")
    version = document.get("keras_version")
    if isinstance(version, str) and version[:2] in ("1.", "2."):
        raise SpecError(
            "model",
            f"a config of Keras {version[:12]}, whose layers have other arguments; make the model"
            " with Keras 3 and give the object, or its config",
        )
    if model_kind(document) is None and is_custom(document):
        raise SpecError("model", model_subclass_refusal(document))


def takes_hyperparameters(function: Any) -> bool:
    """Whether it makes the models of a search, as of KerasTuner."""
    return next(iter(signature(function).parameters), "") == "hp"


def not_a_model(value: Any) -> str:
    """Why an object is no model, and what to use for code."""
    name = getattr(value, "__name__", "")
    if isfunction(value):
        return f"{name}(hp) makes the models of a search; give it to fleet.sweep"
    if isinstance(value, type):
        return f"{name} is a class; give a function that makes an object of it to ff.builder"
    return f"{with_article(type(value).__name__)} is not a model"


def no_model_text(text: str) -> str:
    """Why a text is no model; often it is the path of another kind of file."""
    shown = f"{text!r:.200}"
    if text.lower().endswith((".weights.h5", ".ckpt", ".safetensors")):
        return f"{shown} holds weights alone; give the model, and them as initial_weights="
    if text.lower().endswith((".onnx", ".tflite", ".pb", ".pt", ".pth")):
        return f"{shown} is a model of another format; make it with Keras and give the object"
    return f"{shown} is neither JSON, a .json or .yaml file, nor module:function"

"""The table of docs/reference/models.md: natural models, and how each comes out.

What is equal to plain Keras is held so by the example it names; what is refused is refused here,
and the table has the very sentence. `python tests/examples/test_natural_models.py` writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from fitfleet.errors import FitfleetError
from fitfleet.settings import Settings
from fitfleet.spec.code.collect import collect
from fitfleet.spec.code.names import named
from fitfleet.spec.submission import job_spec

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
START, END = "<!-- natural models: written by a test -->\n", "<!-- end of natural models -->\n"
L = keras.layers

EQUAL = {
    "MLP, Sequential": "mlp",
    "stacked LSTM on a series": "stacked_lstm",
    "stateful LSTM, fixed batch size": "stateful_lstm",
    "every recurrent layer, ConvLSTM included": "recurrent_layers",
    "encoder-decoder with initial states": "encoder_decoder",
    "sequence to sequence with attention": "attention",
    "text classification, TextVectorization in the model": "text_classification",
    "next-character LSTM on windows": "text_generation",
    "table with categories and missing values": "tabular",
    "several outputs, return_state": "return_state",
    "transfer learning, a frozen base": "transfer_learning",
    "knowledge distillation from a teacher's answers": "distillation",
    "siamese encoder, contrastive loss of one's own": "siamese",
    "variational autoencoder, own train_step": "vae",
    "CTC": "ctc",
    "metric of one's own": "custom_metric",
    "early stopping, plateau, schedules": "callbacks",
}


def _dense(*before: Any, shape: tuple[int, ...] = (4,), **start: Any) -> Any:
    return keras.Sequential([L.Input(shape, **start), *before, L.Dense(1)])


def _double(x: Any) -> Any:
    return 2.0 * x


def _loss_of_margin(margin: float) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.maximum(margin - y_true * y_pred, 0.0))

    return loss


class Own(keras.Model):
    def call(self, x: Any) -> Any:
        return x


REFUSED: dict[str, Callable[[], dict[str, Any]]] = {
    "`Lambda` layer": lambda: {"model": _dense(L.Lambda(_double, output_shape=(4,)))},
    "subclassed model as an object": lambda: {"model": Own()},
    "loss made inside a function": lambda: {"model": _dense(), "loss": _loss_of_margin(1.0)},
    "loss as a lambda": lambda: {"model": _dense(), "loss": lambda y, p: (y - p) ** 2},
    "`TextVectorization` before `adapt`": lambda: {
        "model": keras.Sequential(
            [L.Input((), dtype="string"), L.TextVectorization(), L.Embedding(10, 2)]
        )
    },
    "ragged input": lambda: {
        "model": keras.Model(*[L.Input((None, 3), ragged=True)] * 2),
    },
    "`MixUp` in the model": lambda: {
        "model": {"class_name": "Sequential", "config": {"layers": [{"class_name": "MixUp"}]}}
    },
    "`TFSMLayer`": lambda: {
        "model": {"class_name": "Sequential", "config": {"layers": [{"class_name": "TFSMLayer"}]}}
    },
}


def _sentence(make: Callable[[], dict[str, Any]]) -> str:
    from fitfleet.spec.checks.check import check

    given = {"dataset": "data.h5", "optimizer": "sgd", "loss": "mse", **make()}
    settings = Settings()
    try:
        spec = job_spec(settings, is_scripted=True, **given)
        collect(named(spec), settings, more=[], with_script=True)
        check(spec, settings)
    except FitfleetError as error:
        return str(error)
    return ""


def table() -> str:
    """The rows of the page."""
    lines = ["| model | how it comes out |", "| --- | --- |"]
    for name, example in EQUAL.items():
        place = f"[{example}.py](../../examples/{example}.py)"
        lines.append(f"| {name} | equal to plain Keras, bit for bit: {place} |")
    for name, make in REFUSED.items():
        said = _sentence(make).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name} | refused: {said} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_a_sentence(name: str) -> None:
    assert len(_sentence(REFUSED[name])) > 20


def test_the_table_is_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = page.partition(START)[2].partition(END)[0]
    assert written == table(), "write it anew: python tests/examples/test_natural_models.py"


def test_every_model_that_is_equal_has_its_example() -> None:
    from cases import NAMES

    assert set(EQUAL.values()) <= set(NAMES)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(START) + ".*?" + re.escape(END), re.S)
    PAGE.write_text(pattern.sub(lambda _: START + table() + END, text), encoding="utf-8")

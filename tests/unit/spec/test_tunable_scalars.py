"""What of a model's config counts as a number that a traced program can take as a variable."""

from __future__ import annotations

from typing import Any

import fitfleet as ff
from fitfleet.settings import Settings
from fitfleet.spec import tunable_scalars
from fitfleet.spec.parts.model import model_spec


def config(rate: float, factor: float, recurrent: float = 0.2) -> Any:
    model = ff.Sequential(
        [
            ff.layers.Input((5, 3)),
            ff.layers.Bidirectional(ff.layers.GRU(4, recurrent_dropout=recurrent)),
            ff.layers.Dense(
                4, kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.0, "l2": factor}}
            ),
            ff.layers.Dropout(rate),
        ]
    )
    return model_spec(model, Settings())[0].config


def test_rates_and_factors_are_taken_out_and_put_back() -> None:
    first, scalars = tunable_scalars.separate(config(0.3, 0.01))
    assert sorted(scalars) == [0.01, 0.2, 0.3]
    other, others = tunable_scalars.separate(config(0.4, 0.02))
    assert first == other
    assert tunable_scalars.fill(config(0.3, 0.01), others) == config(0.4, 0.02)


def test_zero_and_one_stay_because_keras_builds_another_graph_for_them() -> None:
    neutral, scalars = tunable_scalars.separate(config(0.0, 0.0, recurrent=1.0))
    assert scalars == []
    assert neutral == config(0.0, 0.0, recurrent=1.0)

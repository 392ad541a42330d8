"""`predict` takes DataFrames, Series and lists as training does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.submission import job_spec
from fitfleet.worker.models.predict import predict

FRAME = pd.DataFrame({"age": [31, 40, 52], "income": [0.5, None, 2.0]})


def _predicted(x: Any) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    spec = job_spec(Settings(), model=model, dataset="unused.h5", loss="mse")
    return predict(model, x, spec, Settings(), 32)


@pytest.mark.parametrize("convert", [pd.DataFrame.copy, pd.DataFrame.convert_dtypes])
def test_a_frame_of_numbers_is_an_array(convert: Any) -> None:
    np.testing.assert_array_equal(_predicted(convert(FRAME)), _predicted(FRAME.to_numpy("f4")))


def test_rows_as_lists_of_numbers_are_an_array() -> None:
    rows = [[31, 0.5], [40, 1.0]]
    np.testing.assert_array_equal(_predicted(rows), _predicted(np.array(rows, "f4")))


def test_a_frame_with_columns_of_text_is_refused_with_the_way() -> None:
    with pytest.raises(DatasetError, match=r"^x: contains 'cook', .* takes dict\(frame\)"):
        _predicted(FRAME.assign(job="cook"))

"""What a user reads of an error: all that Keras explains, and nothing of where it was."""

from __future__ import annotations

import pytest

from fitfleet.worker.recording.error_text import MAX_CHARACTERS, explanation

OF_GRAPH = """Graph execution error:

Detected at node loss/Sparse defined at (most recent call last):
  File "/tmp/x.py", line 11, in <module>

  File "/keras/src/trainer.py", line 399, in fit

Received a label value of 15 which is outside the valid range of [0, 3).  Label values: 0 14 6
\t [[{{node loss/Sparse}}]] [Op:__inference_multi_step_on_iterator_210]"""
OF_LAYER = """Exception encountered when calling Scale.call().

\x1b[1mthe scale has no notes\x1b[0m

Arguments received by Scale.call():
  • inputs=tf.Tensor(shape=(None, 7), dtype=float32)"""


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            ValueError(OF_GRAPH),
            "Received a label value of 15 which is outside the valid range of [0, 3).",
        ),
        (
            ValueError(OF_LAYER),
            "Exception encountered when calling Scale.call(). the scale has no notes",
        ),
        (ValueError(f"got {[[0.5, 1e-3]] * 9}, of shape [9, 2]"), "got [...], of shape [9, 2]"),
        (
            ValueError(
                "{{function_node __wrapped__GatherV2_device_/job:localhost/task:0/device:CPU:0}}"
                " indices[3] = 2 is not in [0, 2) [Op:GatherV2]"
            ),
            "indices[3] = 2 is not in [0, 2)",
        ),
        (ValueError(""), "ValueError"),
        (Silent(), "Silent"),
    ],
)
def test_an_explanation_is_whole_and_without_traces_and_arrays(error: Exception, says: str) -> None:
    assert explanation(error) == says


def test_a_long_explanation_ends_with_a_sentence() -> None:
    text = explanation(ValueError("This is a sentence of some length. " * 200))
    assert MAX_CHARACTERS - 50 < len(text) <= MAX_CHARACTERS and text.endswith("length.")

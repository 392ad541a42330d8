"""Sweep files: how spaces are written, and what tells a sweep from jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

import fitfleet as ff
from fitfleet.cli.sweep_file import is_sweep, read_sweep
from fitfleet.errors import SearchError, SpecError

SWEEP = """
model:
  Sequential:
    - Input: {shape: [8, 8]}
    - LSTM: {units: {choice: [16, 32]}}
    - Dense: {units: 10, activation: softmax}
dataset: digits.h5
optimizer: {RMSprop: {learning_rate: {log_uniform: [1e-4, 1e-2]}}}
batch_size: {integers: {low: 16, high: 64, step: 16}}
loss: categorical_crossentropy
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def test_spaces_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP)
    document = read_sweep(path)
    assert document["model"]["Sequential"][1]["LSTM"]["units"] == ff.choice([16, 32])
    assert document["optimizer"]["RMSprop"]["learning_rate"] == ff.log_uniform(1e-4, 1e-2)
    assert document["batch_size"] == ff.integers(16, 64, step=16)
    assert is_sweep(path)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("model: m.json\ndataset: d.h5\nloss: mse\n", False),
        ("model: m.json\nrepeats: 3\n", True),
        ("jobs:\n  - {model: m.json}\n", False),
        ("- {model: m.json}\n", False),
    ],
)
def test_a_file_with_spaces_is_a_sweep(tmp_path: Path, text: str, is_one: bool) -> None:
    assert is_sweep(write(tmp_path, text)) is is_one


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("units: {choice: []}", "no options"),
        ("units: {uniform: [1, 0]}", "not a range"),
        ("units: {uniform: [1]}", "units: uniform"),
        ("units: {integers: {from: 1, to: 3}}", "units: integers"),
    ],
)
def test_a_bad_space_of_a_file_is_rejected(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SearchError, match=says):
        read_sweep(write(tmp_path, text))


def test_a_list_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="a sweep is a mapping"):
        read_sweep(write(tmp_path, "- 1\n"))

"""Job files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitfleet.cli.job_file import jobs_of, read_jobs
from fitfleet.errors import SpecError


def written(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def test_one_mapping_is_one_job(tmp_path: Path) -> None:
    assert read_jobs(written(tmp_path, "epochs: 3\nloss: mse")) == [{"epochs": 3, "loss": "mse"}]


def test_jobs_take_over_shared_keys(tmp_path: Path) -> None:
    text = "epochs: 3\njobs:\n  - {seed: 1}\n  - {seed: 2, epochs: 5}"
    assert read_jobs(written(tmp_path, text)) == [
        {"epochs": 3, "seed": 1},
        {"epochs": 5, "seed": 2},
    ]


def test_a_list_is_several_jobs() -> None:
    assert jobs_of([{"seed": 1}, {"seed": 2}], "job") == [{"seed": 1}, {"seed": 2}]


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "1E-3"])
def test_learning_rates_are_numbers(tmp_path: Path, text: str) -> None:
    assert read_jobs(written(tmp_path, f"rate: {text}")) == [{"rate": 0.001}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML: line "),
        ("just text", "a job is a mapping"),
        ("jobs: []", "at least one job"),
        ("- {a: 1}\n- 3", r"\[1\]: a job is a mapping"),
        ("a: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("[" * 5000, "is not YAML|nested too deeply"),
    ],
)
def test_what_is_no_job_file_is_refused_in_one_sentence(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_jobs(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: cannot be read: No such file"):
        read_jobs(tmp_path / "none.yaml")


def test_a_binary_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\x89\xff\x00")
    with pytest.raises(SpecError, match="not text in UTF-8"):
        read_jobs(path)

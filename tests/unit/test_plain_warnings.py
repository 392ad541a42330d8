"""Warnings of commands and of the fits in a worker are sentences, without the place in the code."""

from __future__ import annotations

import warnings

import pytest

from fitfleet.text import plain_warnings


def test_each_warning_is_a_sentence_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        plain_warnings()
        for _ in range(2):
            warnings.warn("the labels are odd\x1b[2J", stacklevel=1)
    assert capsys.readouterr().err == "warning: the labels are odd\\x1b[2J\n" * 2

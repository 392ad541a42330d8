"""Sizes of memory as options of the worker."""

from __future__ import annotations

import pytest

from fitfleet.cli.service_start import sizes
from fitfleet.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "count"),
    [("4G", 4 * 10**9), ("4GB", 4 * 10**9), ("512MiB", 512 * 2**20), ("512Mi", 512 * 2**20)],
)
def test_sizes_are_written_with_or_without_their_b(text: str, count: int) -> None:
    assert sizes(text, None) == {"min_free_gpu_bytes": count, "memory_limit_bytes": None}


@pytest.mark.parametrize("text", ["", "much", "-4G", "4X", "0G"])
def test_what_is_no_size_is_named_with_its_option(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"--memory-limit: .* is not a size such as 4G or 512MiB"
    ):
        sizes(None, text)

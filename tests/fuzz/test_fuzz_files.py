"""A damaged file of any format gives its numbers or one sentence, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_files import FORMATS, fuzz


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_gives_numbers_or_a_sentence(kind: str, tmp_path: Path) -> None:
    fuzzed = fuzz(kind, 0, 40, tmp_path)
    assert fuzzed.wrong == {}
    assert sum(fuzzed.outcomes.values()) == 40
    assert fuzzed.outcomes["accepted"] and fuzzed.outcomes["DatasetError"]

"""A user's code comes in by one door."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.worker.user_code import imports


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "my_scores.py").write_text(
        "def half(y, p, c):\n    return {'half': 0.5}\nno = 1\nfrom os import system\n"
    )
    (tmp_path / "my_broken.py").write_text("raise RuntimeError('half written')\n")
    return Settings(
        trusted_modules=("my_scores", "my_broken", "my_missing"), module_path=(str(tmp_path),)
    )


def test_a_trusted_function_is_found(settings: Settings) -> None:
    assert imports.function("my_scores:half", settings, "evaluators")(0, 0, {}) == {"half": 0.5}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("os:system", "'os' is not trusted by this worker"),
        ("my_scores_too:half", "is not trusted"),
        ("my_scores:no", "has no function 'no'"),
        ("my_scores:quarter", "has no function 'quarter'"),
        ("my_scores:system", "my_scores:system of posix.*is not trusted"),
        ("my_missing:half", "importing my_missing failed.*install it on the workers"),
        ("my_broken:half", "RuntimeError: half written"),
    ],
)
def test_an_untrusted_function_is_rejected(path: str, says: str, settings: Settings) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        imports.function(path, settings, "evaluators")
    assert caught.value.place == "evaluators"

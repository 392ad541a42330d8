"""Settings are refused at the start when they are out of bounds or contradict one another."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from fitfleet.errors import SettingsError
from fitfleet.settings import Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slots": 0}, "slots: 0 is out of bounds; set it from 1 to 1,024"),
        ({"slots": "2000"}, "slots: 2000 is out of bounds; set it from 1 to 1,024"),
        ({"poll_s": 0}, "poll_s: 0.0 is out of bounds; set it from 0.001 to 60"),
        ({"max_layers": -1}, "max_layers: -1 is out of bounds; set it to 1 or more"),
        ({"backoff_s": math.nan}, "backoff_s: nan is out of bounds; set it from 0 to 86,400"),
        (
            {"stall_timeout_s": "inf"},
            "stall_timeout_s: inf is out of bounds; set it to 0.1 or more",
        ),
        ({"code_trust": "all"}, "code_trust: 'all' is not one of modules, scripts"),
        (
            {"heartbeat_s": 20, "lease_s": 10},
            "heartbeat_s: 20 is above lease_s, 10: a worker would lose its jobs between two"
            " heartbeats; set lease_s to three heartbeats or more",
        ),
        (
            {"message_key": "short"},
            "message_key: it has 5 characters; give it 32 or more, as `openssl rand -hex 32`"
            " prints",
        ),
    ],
)
def test_settings_out_of_bounds_are_refused_with_the_reason(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(given)
    assert str(caught.value) == message


def test_every_number_has_bounds_and_a_default_within_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FITFLEET_PROGRAMS")  # the tests keep theirs elsewhere
    for setting in dataclasses.fields(Settings):
        is_number = isinstance(setting.default, int | float) and not isinstance(
            setting.default, bool
        )
        assert is_number == ("low" in setting.metadata), setting.name
    assert Settings.load({name: value for name, value, _ in Settings.table()}) == Settings.load()


def test_a_setting_at_its_bound_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITFLEET_LEASE_S", "2")
    monkeypatch.setenv("FITFLEET_HEARTBEAT_S", "2")
    assert Settings.load({"slots": 1024}).slots == 1024


def test_a_key_is_shown_nowhere() -> None:
    settings = Settings(message_key="s3cr3t-key" * 4)
    assert "s3cr3t" not in repr(settings) + str(settings.shown())
    assert settings.to_environment()["FITFLEET_MESSAGE_KEY"] == settings.message_key

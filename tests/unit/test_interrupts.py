"""A Ctrl-C that falls into a destructor, where Python drops it, still reaches the script."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from fitfleet.interrupts import kept_interrupts


class Interrupted:
    """Its destructor runs while the user presses Ctrl-C."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_in_a_destructor_is_raised_after_it() -> None:
    earlier = sys.unraisablehook
    with kept_interrupts(), pytest.raises(KeyboardInterrupt):
        Interrupted()
        time.sleep(600)  # it ends what the script waits in
    assert sys.unraisablehook is earlier


def test_other_errors_of_destructors_are_shown_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty:
        def __del__(self) -> None:
            raise ValueError("of a destructor")

    seen = []
    earlier, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        with kept_interrupts():
            Faulty()
    finally:
        sys.unraisablehook = earlier
    assert [type(unraisable.exc_value) for unraisable in seen] == [ValueError]

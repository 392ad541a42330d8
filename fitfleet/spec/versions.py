"""The versions of fitfleet that can read a job, as numbers that a database compares.

Also the versions of packages on which the fits of this host depend.
"""

from __future__ import annotations

import functools
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

# The version that last changed JobSpec, JobOptions or the allow-list: a change of these sets it to
# the version that it comes with. Workers of older versions do not claim such jobs.
READABLE_SINCE = "0.1.0"


@functools.cache
def installed() -> str:
    """The version of fitfleet that runs here."""
    return version("fitfleet")


def of_fits() -> dict[str, str]:
    """{package: version} of those on which fits depend, without importing them."""
    versions = {"fitfleet": installed()}
    for name in ("keras", "tensorflow"):
        with suppress(PackageNotFoundError):  # such as tensorflow-cpu
            versions[name] = version(name)
    return versions


def number_of(text: str) -> int:
    """`1.2.3` -> 1002003. A pre-release has the number of its release; 0 for what is no version."""
    match = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    major, minor, patch = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return (major * 1000 + minor) * 1000 + patch


def text_of(number: int) -> str:
    """1002003 -> `1.2.3`."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"

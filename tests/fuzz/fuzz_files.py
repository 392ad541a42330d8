"""Feeds damaged files of every format to fitfleet: `fuzz_files.py [FILES A FORMAT] [FIRST]`.

The files of a number are always the same. They run in processes of their own, since what is looked
for may end one; that counts as wrong too. Leaves what was wrong in ./fuzz and ends with 1 then.
"""

from __future__ import annotations

import collections
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

FORMATS = ("h5", "npz", "npy", "csv", "parquet")
_BATCH = 2000


@dataclass
class Result:
    """What came out: counts by outcome, what was wrong by "format number"."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: dict[str, str] = field(default_factory=dict)
    exits: int = 0  # of the checking process, which is there for that


def fuzz(kind: str, first: int, count: int, kept: Path) -> Result:
    """Run `count` files of a format; those that were wrong are kept in a folder."""
    result = Result()
    for start in range(first, first + count, _BATCH):
        size = min(_BATCH, first + count - start)
        with tempfile.TemporaryDirectory() as folder:
            _batch(kind, start, size, Path(folder), result)
            for path in Path(folder).glob("wrong-*"):
                kept.mkdir(exist_ok=True)
                path.rename(kept / path.name)
    return result


def _batch(kind: str, first: int, count: int, folder: Path, result: Result) -> None:
    script = Path(__file__).with_name("run_files.py")
    command = [sys.executable, str(script), kind, str(first), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [""]
        result.wrong[f"{kind} {first}..."] = f"the process ended with {done.returncode}: {last[0]}"
        return
    report = json.loads(done.stdout.splitlines()[-1])
    result.outcomes.update(report["outcomes"])
    result.wrong |= {f"{kind} {number}": text for number, text in report["wrong"].items()}
    result.exits += len(report["died"])


def main(count: int, first: int) -> int:
    """Run all formats and print what came out. 1 if anything was wrong."""
    is_wrong = False
    for kind in FORMATS:
        started = time.monotonic()
        fuzzed = fuzz(kind, first, count, Path("fuzz"))
        took_s = time.monotonic() - started
        print(
            f"{kind}: {dict(fuzzed.outcomes)}, {fuzzed.exits} exits of the checking process,",
            end="",
        )
        print(f" {len(fuzzed.wrong)} wrong, {took_s:.0f} s", flush=True)
        for number, text in fuzzed.wrong.items():
            print(f"  {number}: {text}", flush=True)
        is_wrong = is_wrong or bool(fuzzed.wrong)
    return int(is_wrong)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    sys.exit(main(given[0] if given else 40_000, given[1] if len(given) > 1 else 0))

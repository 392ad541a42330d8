"""Feeds damaged specs and YAML to fitfleet: `fuzz_specs.py [SPECS] [FIRST]`.

Each number is one spec, always the same. Prints what came out and ends with 1 if a spec raised
what is no FitfleetError, imported, ran or opened something, or took too long or too much memory.
"""

from __future__ import annotations

import collections
import json
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import spec_corpus
from oracle import Watch, run

from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check
from fitfleet.spec.job import JobSpec
from fitfleet.spec.submission import job_options, job_spec
from fitfleet.spec.yaml_text import load

SECONDS = 5.0
MEMORY_BYTES = 300 * 2**20
SETTINGS = Settings()
_OPTIONS = frozenset({"params", "experiment"})


def submitted(document: Any) -> None:
    """What submitting does with the keywords of a job, without the dataset."""
    if not isinstance(document, dict):
        return
    given = {str(k): v for k, v in document.items() if k not in ("settings", "is_scripted")}
    parts = {k: v for k, v in given.items() if k not in _OPTIONS}
    parts.setdefault("model", None)
    parts.setdefault("dataset", None)
    spec = job_spec(SETTINGS, **parts)
    job_options(SETTINGS, **{k: v for k, v in given.items() if k in _OPTIONS})
    check(spec, SETTINGS)
    check(JobSpec.from_canonical(spec.canonical()), SETTINGS)


def fuzz(first: int, count: int) -> tuple[collections.Counter[str], dict[str, str]]:
    """Counts by outcome, and what was wrong by number."""
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: dict[str, str] = {}
    seeds, texts = spec_corpus.seeds(), spec_corpus.yaml_texts()
    for seed in seeds:  # imports all that a good spec needs
        submitted(seed)
    for text in texts:
        load(text, "text")
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch([folder], [str(Path(__file__).parents[2])])
        for number in range(first, first + count):
            draw = random.Random(number)
            if number % 3:
                work = _spec(draw, seeds)
            else:
                text = spec_corpus.damaged_text(draw.choice(texts), draw)
                work = lambda text=text: submitted(load(text, "text"))  # noqa: E731
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome, problem = run(work, watch, seconds=SECONDS, memory_bytes=MEMORY_BYTES)
            outcomes[outcome] += 1
            if problem is not None:
                wrong[str(number)] = problem
    return outcomes, wrong


def _spec(draw: random.Random, seeds: list[Any]) -> Any:
    document = spec_corpus.damaged(draw.choice(seeds), draw)
    return lambda: submitted(document)


def main() -> None:
    """Run the specs of the command line."""
    given = [int(part) for part in sys.argv[1:]]
    count, first = (*given, *(10_000, 0)[len(given) :])
    began = time.monotonic()
    outcomes, wrong = fuzz(first, count)
    print(json.dumps({"outcomes": outcomes, "wrong": wrong}, indent=1))
    print(f"{count:,} specs in {time.monotonic() - began:.0f} s, {len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

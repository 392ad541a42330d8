"""Feeds damaged files to describe and load: `run_files.py FORMAT FIRST COUNT FOLDER`.

Each number is one file, always the same. Files that were wrong are kept in FOLDER. Prints a JSON
object with what came out. A process of its own, since what it looks for may end it.
"""

from __future__ import annotations

import collections
import json
import random
import sys
import tempfile
from pathlib import Path

import file_corpus
import numpy as np
from oracle import Watch, run

from fitfleet.data.arrays import load
from fitfleet.data.description.description import _described, describe
from fitfleet.data.inspection import checker
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

SECONDS = 10.0
MEMORY_BYTES = 400 * 2**20
# The checking process watches itself with the same hook, and leaves with this code.
_SEEN = 99
_WATCHED = f"""
import json, os, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
sys.path += json.loads(sys.argv[2])
from fitfleet.data.inspection import checker_process as process
from fitfleet.data.formats.statistics import read_through
from oracle import Watch
import file_corpus, pathlib, tempfile
with tempfile.TemporaryDirectory() as folder:  # imports all that a good file needs
    for kind in file_corpus.FORMATS:
        for data in file_corpus.seeds(kind):
            path = pathlib.Path(folder, "f." + kind)
            path.write_bytes(data)
            limits = process.Limits(2**30, 2**30, 2**30, 60.0)
            digests = b"".join(file_corpus.digest(data))
            file = process.DataFile(path, len(data), digests)
            source = process.open_source({{"x" if kind == "npy" else "": file}}, limits)
            read_through(source, "x", lambda: None)
            if source.is_table:
                words = source.words("word", only_text=True)
                options = process.TableOptions(categories={{"word": tuple(words)}})
                encoded = process.open_source({{"": file}}, limits, options)
                read_through(encoded, "word", lambda: None)
            source.close()
watch = Watch([], READABLE)
answer = process._Session.answer
def watched(self, request):
    with watch:
        found = answer(self, request)
    if watch.seen:
        pathlib.Path(SEEN).write_text(watch.seen[0])
        os._exit({_SEEN})
    return found
process._Session.answer = watched
process.main(int(sys.argv[1]))
"""


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Run the files and print the counts."""
    data, cache = folder / "data", folder / "cache"
    data.mkdir(parents=True, exist_ok=True)
    settings = Settings(data_root=str(data), cache=str(cache), check_stall_s=10 * SECONDS)
    checker._START = _WATCHED.replace("READABLE", repr([str(data)])).replace(
        "SEEN)", f"{str(folder / 'seen')!r})"
    )
    path = data / f"f.{kind}"
    seeds = file_corpus.seeds(kind)
    dataset = _dataset(kind)
    for seed in seeds:  # imports all that a good file needs
        path.write_bytes(seed)
        if kind == "npy":
            np.save(data / "y.npy", file_corpus.Y)
        load(dataset, settings)
        if kind in ("csv", "parquet"):
            load(dataset.model_copy(update={"x": "word", "categories": ["word"]}), settings)
    roots = [str(folder), tempfile.gettempdir()]  # the checking process says its errors there
    watch = Watch(roots, programs=[sys.executable])
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: dict[int, str] = {}
    for number in range(first, first + count):
        chance = random.Random(f"{kind} {number}")
        path.write_bytes(file_corpus.damaged(chance.choice(seeds), kind, chance))
        _described.clear()
        outcome, problem = run(
            lambda: _use(dataset, settings), watch, seconds=SECONDS, memory_bytes=MEMORY_BYTES
        )
        if problem:
            wrong[number] = problem
            (folder / f"wrong-{kind}-{number}").write_bytes(path.read_bytes())
        outcomes[outcome] += 1
    print(json.dumps({"outcomes": outcomes, "wrong": wrong, "died": _deaths}))


_deaths: list[str] = []


def _use(dataset: DatasetSpec, settings: Settings) -> None:
    try:
        describe(dataset, settings)
    except Exception as error:
        if "did not survive" in str(error):
            _deaths.append(str(error)[-120:])
            if f"code {_SEEN}" in str(error):
                seen = Path(settings.data_root).with_name("seen").read_text()
                raise AssertionError(f"seen in the checking process: {seen}") from None
        raise
    # What the process has survived, this one opens.
    load(dataset, settings)


def _dataset(kind: str) -> DatasetSpec:
    if kind == "npy":
        return DatasetSpec(files={"x": "f.npy", "y": "y.npy"}, x="x", y="y")
    return DatasetSpec(path=f"f.{kind}", x="x", y="y")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))

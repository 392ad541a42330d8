"""Programs on the disk: whatever is there, a job's numbers are those of the traced program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import ledger
import nets
import numpy as np
import pytest
from support.parts import quick

from fitfleet.data.arrays import Arrays
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.programs import functions
from fitfleet.worker.engines.programs.optimised_graph import Stored
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.keras_private import function_pb2

ENGINES = {"loop": LoopFit, "fused": FusedFit}


def jobs(net: nets.Net) -> list[Any]:
    """Two, of one epoch."""
    model = net.build()
    given = {**net.given, "epochs": 1, "batch_size": 16}
    specs = [ledger.spec(model, seed=seed, **given) for seed in (3, 4)]
    return [ledger.prepared(spec, net.arrays, number) for number, spec in enumerate(specs)]


def digest(trained: ledger.Ledger) -> str:
    """Of all numbers of a ledger."""
    import hashlib

    hashed = hashlib.sha256(repr((trained.logs, trained.scores)).encode())
    for kind in (trained.weights, trained.optimizer):
        for values in kind.values():
            for value in values:
                hashed.update(np.ascontiguousarray(value).tobytes())
    return hashed.hexdigest()


class Traces:
    """Counts what is traced from now on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        traced = functions._traced

        def counted(*given: Any) -> Any:
            self.count += 1
            return traced(*given)

        patch.setattr(functions, "_traced", counted)


SCRIPT = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
import nets, test_stored_programs as here
from fitfleet.worker.engines.programs import functions
from fitfleet.worker.engines.programs.program_store import ProgramStore
functions._traced = None
store = ProgramStore(Path(sys.argv[2]), 2**28)
engine = here.ENGINES[sys.argv[1]](here.ledger.SETTINGS, store=store)
print(here.digest(here.ledger.train(engine, here.jobs(nets.stacked_lstm()))))
"""


@pytest.mark.parametrize("engine", quick(ENGINES, "fused"))
def test_another_process_reads_what_this_one_has_traced(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when a file is damaged, or of another program, it is traced anew and kept anew."""
    net = nets.stacked_lstm()
    folder = tmp_path / "programs"

    def train() -> str:
        way = ENGINES[engine](ledger.SETTINGS, store=ProgramStore(folder, 2**28))
        return digest(ledger.train(way, jobs(net)))

    plain = digest(ledger.train(ENGINES[engine](ledger.SETTINGS), jobs(net)))
    traces = Traces(monkeypatch)
    assert train() == plain
    files = sorted(folder.iterdir())
    assert traces.count == len(files) >= 2
    assert train() == plain
    assert traces.count == len(files)
    command = [sys.executable, "-c", SCRIPT, engine, str(folder), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == plain, done.stderr

    contents = [path.read_bytes() for path in files]
    files[0].write_bytes(contents[0][: len(contents[0]) // 2])
    files[1].write_bytes(contents[0])
    assert train() == plain
    assert traces.count == len(files) + 2
    assert train() == plain
    assert traces.count == len(files) + 2
    assert sorted(folder.iterdir()) == files


class Tampered(ProgramStore):
    """Gives whole files whose definitions somebody has changed."""

    operation = ""

    def get(self, key: str) -> bytes | None:
        content = super().get(key)
        if content is None:
            return None
        end = 8 + int.from_bytes(content[:8], "big")
        definition = function_pb2.FunctionDef.FromString(content[end:])
        definition.node_def[0].op = self.operation
        return content[:end] + definition.SerializeToString()


@pytest.mark.parametrize(
    "operation", ["ReadFile", "EagerPyFunc", "StatefulPartitionedCall", "NoSuchOperation", ""]
)
def test_an_operation_that_is_not_on_the_list_is_not_read(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nets.mlp()
    store = Tampered(tmp_path / "programs", 2**28)
    expected = digest(ledger.train(LoopFit(ledger.SETTINGS, store=store), jobs(net)))
    store.operation = operation
    traces = Traces(monkeypatch)
    assert digest(ledger.train(LoopFit(ledger.SETTINGS, store=store), jobs(net))) == expected
    assert traces.count >= 2


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\0" * 7 + b"\x02{}", b"\xff" * 40])
def test_what_is_no_program_is_not_read(content: bytes) -> None:
    variables: Sequence[Any] = []
    assert Stored.read(content, variables) is None


def test_a_program_with_a_tensor_of_its_process_is_not_kept(tmp_path: Path) -> None:
    """What a layer was given as an array is no variable, and stands in no graph if it is large."""
    x = np.random.default_rng(0).normal(size=(50, 200)).astype("float32")
    net = nets.Net(
        lambda: keras.Sequential(
            [
                keras.Input((200,)),
                keras.layers.Normalization(mean=x.mean(0), variance=x.var(0)),
                keras.layers.Dense(1),
            ]
        ),
        Arrays(x=x, y=x[:, :1]),
        {"loss": "mse", "optimizer": "sgd"},
    )
    folder = tmp_path / "programs"
    expected = digest(ledger.train(LoopFit(ledger.SETTINGS), jobs(net)))
    for _ in range(2):
        way = LoopFit(ledger.SETTINGS, store=ProgramStore(folder, 2**28))
        assert digest(ledger.train(way, jobs(net))) == expected
    assert list(folder.iterdir()) == []

"""NVML as it was recorded: a library in place of `pynvml` that answers from a JSON file.

A file is {"calls": [{"function", "arguments", "answer" or "error"}, ...]}; an answer is a number,
a string, or a mapping for a struct, a list of them for several. A call that was asked several
times is answered in the order of the file, the last one again and again.

On a host with a GPU the same is recorded with `python tests/support/recorded_nvml.py UUID FILE`.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict, deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_FIELDS = {
    "nvmlDeviceGetMemoryInfo": ("total", "free", "used"),
    "nvmlDeviceGetComputeRunningProcesses": ("pid", "usedGpuMemory"),
}


class RecordedNvml:
    """Functions of `pynvml` that were recorded; a process number of 0 stands for this process."""

    class NVMLError(Exception):
        """What a driver refuses with."""

    def __init__(self, path: Path) -> None:
        self._answers: dict[tuple[str, ...], deque[Any]] = defaultdict(deque)
        for call in json.loads(path.read_text())["calls"]:
            self._answers[(call["function"], *call["arguments"])].append(call)

    def __getattr__(self, function: str) -> Any:
        def ask(*arguments: Any) -> Any:
            answers = self._answers[(function, *arguments)]
            call = answers.popleft() if len(answers) > 1 else answers[0]
            if "error" in call:
                raise self.NVMLError(call["error"])
            return _struct(call["answer"])

        return ask


def _struct(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_struct(part) for part in answer]
    if isinstance(answer, dict):
        fields = {**answer, **({"pid": os.getpid()} if answer.get("pid") == 0 else {})}
        return SimpleNamespace(**fields)
    return answer


def record(uuid: str) -> dict[str, Any]:
    """What the driver of this host answers for one GPU; the device's handle is its UUID."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    calls: list[dict[str, Any]] = [
        {"function": "nvmlInit", "arguments": [], "answer": None},
        {"function": "nvmlDeviceGetHandleByUUID", "arguments": [uuid], "answer": uuid},
    ]
    for function, fields in _FIELDS.items():
        call: dict[str, Any] = {"function": function, "arguments": [uuid]}
        try:
            answer = getattr(pynvml, function)(handle)
            parts = answer if isinstance(answer, list) else [answer]
            values = [{name: getattr(part, name) for name in fields} for part in parts]
            call["answer"] = values if isinstance(answer, list) else values[0]
        except pynvml.NVMLError as error:
            call["error"] = str(error)
        calls.append(call)
    return {"calls": calls}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(record(sys.argv[1]), indent=1))

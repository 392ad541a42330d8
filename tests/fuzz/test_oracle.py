"""The oracle sees what it is there for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CODE = """
import json, os, socket, subprocess, sys, time
from oracle import Watch, run
from fitfleet.errors import DatasetError
watch = Watch([sys.argv[1]], programs=["allowed"])

def raises(error):
    raise error

def opens(path, mode):
    with open(path, mode):
        pass

def allowed():
    try:
        subprocess.Popen(["allowed"], executable="allowed")
    except OSError:
        pass

works = {
    "good": lambda: opens(sys.argv[1] + "/a", "w"),
    "refused": lambda: raises(DatasetError("one sentence")),
    "allowed": allowed,
    "other": lambda: raises(KeyError("x")),
    "lines": lambda: raises(DatasetError("two\\nlines")),
    "long": lambda: raises(DatasetError("x" * 2000)),
    "import": lambda: __import__("colorsys"),
    "exec": lambda: exec("1"),
    "process": lambda: subprocess.run(["true"]),
    "system": lambda: os.system("true"),
    "socket": lambda: socket.create_connection(("127.0.0.1", 1)),
    "outside": lambda: opens("/etc/hostname", "r"),
    "busy": lambda: sum(range(10**8)),
    "asleep": lambda: time.sleep(60),
    "large": lambda: len(b"x" * (200 * 2**20)),
}
found = {n: run(w, watch, seconds=0.1, memory_bytes=100 * 2**20) for n, w in works.items()}
print(json.dumps(found))
"""


def test_the_oracle_sees_what_it_is_there_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    here = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=here, check=True)
    outcomes = json.loads(done.stdout)
    quiet = [name for name, (_, wrong) in outcomes.items() if wrong is None]
    assert quiet == ["good", "refused", "allowed"]
    assert outcomes["refused"][0] == "DatasetError"

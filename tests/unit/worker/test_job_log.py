"""What a job prints lands in its file, from Python and from C alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fitfleet.worker.recording import job_log

_CODE = """
import os, sys
from pathlib import Path
from fitfleet.worker.recording import job_log
path = Path(sys.argv[1])
print("before")
with job_log.captured(path):
    print("from Python")
    os.write(2, b"from C\\n")
    print("tail:", job_log.tail(path).splitlines())
print("after")
"""


def test_both_descriptors_are_captured_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "7" / "attempt-1.log"
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "before\nafter\n"
    assert path.read_text().splitlines() == [
        "from Python",
        "from C",
        "tail: ['from Python', 'from C']",
    ]


def test_the_tail_is_the_last_hundred_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{n}\n" for n in range(500)))
    assert job_log.tail(path).splitlines() == [str(n) for n in range(400, 500)]
    path.write_bytes(b"x" * 100_000 + os.urandom(10))
    assert len(job_log.tail(path)) <= 32_000
    assert job_log.tail(tmp_path / "none") == ""


def test_a_folder_that_cannot_be_written_does_not_stop_the_job(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    with job_log.captured(tmp_path / "logs" / "1" / "attempt-1.log"):
        ran = True
    assert ran


_FULL = """
import sys
from pathlib import Path
from fitfleet.worker.recording import job_log
Path(sys.argv[1]).symlink_to("/dev/full")
with job_log.captured(Path(sys.argv[1])):
    print("x" * 100_000, flush=True)
    print("and on", file=sys.stderr)
print("after")
"""


def test_a_full_disk_does_not_stop_the_job(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FULL, str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("after\n", "", 0)

"""`make bench [BENCH=name]`: run every benchmark of this folder, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = {path.stem: path for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))}


def main(names: list[str]) -> int:
    """Runs the named benchmarks, or all; the number of those that failed."""
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such benchmark; there is {', '.join(SCRIPTS)}")
    failed = 0
    for name in names or SCRIPTS:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, str(SCRIPTS[name])]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

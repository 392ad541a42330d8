"""The ten queries of docs/reference/queries.sql on PostgreSQL: 100,000 jobs, 20 million metrics.

    python benchmarks/queries.py [--jobs 100000] [--epochs 50]

Each is asked five times, as a script or a BI tool does; the median must be under 100 ms.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from views import fill, median_s

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.servers import Postgres  # noqa: E402  (the tests' own server)

from fitfleet.db.session import Database  # noqa: E402

_LIMIT_S = 0.1


def queries() -> list[tuple[str, str]]:
    """(the question, its SQL)."""
    text = (ROOT / "docs" / "reference" / "queries.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- (\d+\. .*)$", text, flags=re.M)[1:]
    return [(a, b.strip().rstrip(";")) for a, b in zip(parts[::2], parts[1::2], strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    server, slow = Postgres(), 0
    try:
        server.start()
        database = Database(server.url())
        database.upgrade()
        start = time.perf_counter()
        fill(database, options.jobs, options.epochs)
        rows = options.jobs * options.epochs * 4
        seconds = time.perf_counter() - start
        print(f"{options.jobs:,} jobs, {rows:,} metric rows, in {seconds:.0f} s")
        print(f"{'ms':>8}{'rows':>9}  query")
        experiment = f"'e{options.jobs // 2000 + 1}'"
        for question, query in queries():
            spent, count = median_s(database, query.replace("'net'", experiment))
            slow += spent > _LIMIT_S
            mark = "  SLOW" if spent > _LIMIT_S else ""
            print(f"{spent * 1e3:8.1f}{count:9,}  {question}{mark}", flush=True)
        database.dispose()
    finally:
        server.remove()
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

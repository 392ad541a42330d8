"""How long the dispatcher takes to choose 8 jobs, by the number of experiments that wait.

    python benchmarks/ranking.py [--experiments 10 5000]

Four jobs wait in each. The quickest of nine looks, in milliseconds, and the client's CPU in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.rows import insert, new_job, register
from support.servers import Postgres

from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Database

_JOBS, _PLACED, _LOOKS = 4, 8, 9


def looks(database: Database, experiments: int) -> tuple[float, float]:
    """(clock, CPU), in milliseconds, of the quickest look."""
    names = [f"e{i}" for i in range(experiments)]
    insert(database, *(new_job(f"{n}-{i}", experiment=n) for i in range(_JOBS) for n in names))
    register(database, 4)
    if not database.is_sqlite:
        with database.engine.connect() as c:
            c.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    times = []
    for _ in range(_LOOKS):
        at, cpu = time.perf_counter(), time.process_time()
        with database.begin() as c:
            assert len(dispatch.dispatch(c, "cpu", _PLACED)) == _PLACED or experiments < 20
        times.append((time.perf_counter() - at, time.process_time() - cpu))
    clock, cpu = min(times)
    return clock * 1e3, cpu * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, nargs="+", default=[10, 5_000])
    options = parser.parse_args()
    server = Postgres()
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            for count in options.experiments:
                urls = [f"sqlite:///{folder}/{count}.db", server.url(server.create_database())]
                for url in urls:
                    database = Database(url)
                    database.upgrade()
                    clock, cpu = looks(database, count)
                    name = "sqlite" if database.is_sqlite else "postgresql"
                    line = {"experiments": count, "database": name, "ms": round(clock, 1)}
                    print(json.dumps({**line, "cpu_ms": round(cpu, 1)}), flush=True)
                    database.dispose()
    finally:
        server.remove()


if __name__ == "__main__":
    main()

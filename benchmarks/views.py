"""How fast the views answer on PostgreSQL: 100,000 jobs, 20 million metric rows.

    python benchmarks/views.py [--jobs 100000] [--epochs 50]

Each query asks for one experiment of 1,000 jobs, as a script or a BI tool does; the median of
five is printed, and compared with 100 ms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.servers import Postgres

from fitfleet.db.session import Database

_PER_EXPERIMENT = 1_000
_LIMIT_S = 0.1
_SIZES = "metrics: {:.1f} GB and {:.1f} GB of index; the database: {:.1f} GB"

_FILL = [
    "INSERT INTO experiments (name, created_at, is_paused)"
    " SELECT 'e' || i, 0, false FROM generate_series(1, {experiments}) i",
    "INSERT INTO jobs (experiment_id, content_hash, group_hash, rerun, params, seed, queue,"
    " priority, status, dispatch_seq, not_before, submitted_at, started_at, finished_at, attempt,"
    " seconds, epochs, epoch, failures, max_failures, memory_step)"
    " SELECT 1 + i / {per}, md5(i::text), md5((i / 5)::text), 0, '{{\"units\": 32}}', mod(i, 5),"
    " 'cpu', 0, 'SUCCEEDED', 1, 0, 0, 1, 2, 1, 1.5, {epochs}, {epochs}, 0, 3, 0"
    " FROM generate_series(0, {jobs} - 1) i",
    "INSERT INTO attempts (job_id, attempt, worker, started_at, ended_at, outcome)"
    " SELECT id, 1, 'host:1:' || mod(id, 8), 1, 2, 'succeeded' FROM jobs",
    "INSERT INTO metrics (job_id, epoch, metric, phase, value)"
    " SELECT j.id, e, m, p, random() FROM jobs j, generate_series(1, {epochs}) e,"
    " unnest(ARRAY['accuracy', 'loss']) m, unnest(ARRAY['train', 'val']) p",
    "INSERT INTO scores (job_id, name, value, source)"
    " SELECT id, n, random(), 'keras' FROM jobs, unnest(ARRAY['test_accuracy', 'test_loss']) n",
    "INSERT INTO job_events (at, kind, job_id) SELECT 1, 'released', id FROM jobs",
]

QUERIES = {
    "runs": "SELECT * FROM runs WHERE experiment = '{e}'",
    "best runs": "SELECT job_id, params, best_val_loss FROM runs WHERE experiment = '{e}'"
    " ORDER BY best_val_loss LIMIT 10",
    "one curve": "SELECT * FROM curves WHERE job_id = {job} ORDER BY epoch",
    "band": "SELECT epoch, AVG(value), MIN(value), MAX(value) FROM curves"
    " WHERE job_id IN (SELECT job_id FROM runs WHERE experiment = '{e}' AND group_hash ="
    " (SELECT group_hash FROM runs WHERE job_id = {job})) AND metric = 'loss' AND phase = 'val'"
    " GROUP BY epoch ORDER BY epoch",
    "timeline": "SELECT worker, started_at, finished_at FROM runs WHERE experiment = '{e}'",
    "groups": "SELECT * FROM groups WHERE experiment = '{e}' AND metric = 'loss'"
    " AND phase = 'val' ORDER BY mean",
    "leaderboard": "SELECT * FROM leaderboard WHERE experiment = '{e}' AND metric = 'accuracy'"
    " AND phase = 'test' ORDER BY rank_high LIMIT 10",
    "states": "SELECT status, COUNT(*) FROM runs WHERE experiment = '{e}' GROUP BY status",
    "workers": "SELECT * FROM workers",
    "events": "SELECT * FROM events WHERE job_id = {job}",
}


def fill(database: Database, jobs: int, epochs: int) -> None:
    """Rows made by the server itself."""
    numbers = {"jobs": jobs, "epochs": epochs, "per": _PER_EXPERIMENT}
    numbers["experiments"] = -(-jobs // _PER_EXPERIMENT)
    for statement in _FILL:
        with database.begin() as c:
            c.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no foreign keys
            c.exec_driver_sql(statement.format(**numbers))
    with database.engine.connect() as c:
        c.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


def sizes(database: Database) -> tuple[float, ...]:
    """GB of the table of metrics, of its index, and of the whole database."""
    query = (
        "SELECT pg_relation_size('metrics') / 1e9, pg_indexes_size('metrics') / 1e9,"
        " pg_database_size(current_database()) / 1e9"
    )
    with database.read() as c:
        return tuple(map(float, c.exec_driver_sql(query).one()))


def median_s(database: Database, query: str) -> tuple[float, int]:
    """(median time, rows) of five runs."""
    spent, rows = [], 0
    for _ in range(5):
        with database.read() as c:
            start = time.perf_counter()
            rows = len(c.exec_driver_sql(query).fetchall())
            spent.append(time.perf_counter() - start)
    return statistics.median(spent), rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--explain", help="print the plan of this query")
    parser.add_argument("--random-page-cost", default="4", help="1.1 is for SSDs")
    options = parser.parse_args()
    server = Postgres(random_page_cost=options.random_page_cost)
    slow = 0
    try:
        server.start()
        database = Database(server.url())
        database.upgrade()
        start = time.perf_counter()
        fill(database, options.jobs, options.epochs)
        rows = options.jobs * options.epochs * 4
        print(
            f"{options.jobs:,} jobs, {rows:,} metric rows, in {time.perf_counter() - start:.0f} s"
        )
        print(_SIZES.format(*sizes(database)))
        middle = options.jobs // _PER_EXPERIMENT // 2 + 1
        names = {"e": f"e{middle}", "job": middle * _PER_EXPERIMENT - 10}
        print(f"{'query':14}{'ms':>8}{'rows':>9}")
        for name, query in QUERIES.items():
            spent, count = median_s(database, query.format(**names))
            slow += spent > _LIMIT_S
            print(f"{name:14}{spent * 1e3:8.1f}{count:9,}{'  SLOW' if spent > _LIMIT_S else ''}")
            if options.explain == name:
                with database.read() as c:
                    plan = c.exec_driver_sql(f"EXPLAIN ANALYZE {query.format(**names)}")
                    print("\n".join(row[0] for row in plan))
        database.dispose()
    finally:
        server.remove()
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

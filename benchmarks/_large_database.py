"""A large database for benchmarks of the page, filled by statements of the database's own."""

from __future__ import annotations

from fitfleet.db.session import Database

LONG = "long"  # an experiment of 1,000 jobs; a hundred of them have 1,000 epochs

_SERIES = "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {n})"
_JOBS = (
    _SERIES
    + """
INSERT INTO jobs (id, experiment_id, content_hash, group_hash, params, seed, queue, status,
  submitted_at, epochs, epoch, attempt, max_failures, seconds, started_at, finished_at, priority,
  dispatch_seq, not_before, failures, memory_step, rerun)
SELECT {first} + i, {experiment}, 'c' || ({first} + i), 'g' || (i / 3),
 '{{"dropout": 0.' || (i % 9) || ', "learning_rate": 0.'
  || substr('0000' || (1 + i * 37 % 999), -4)
  || ', "optimizer": "' || substr('adamsgd rms ', 1 + 4 * (i % 3), 4) || '", "units": '
  || (16 * (1 + i % 8)) || '}}', i % 3, 'cpu', 'SUCCEEDED', 1e9, {epochs}, {epochs}, 1, 3,
  10.0 + i % 50, 1e9, 1e9 + i, 0, 1, 0.0, 0, 0, 0 FROM s"""
)
_METRICS = (
    _SERIES
    + """
INSERT INTO metrics (job_id, epoch, metric, phase, value)
SELECT j.id, s.i, 'loss', p.phase, 0.1 + (j.id * 7919 % 1000) / 1000.0 + 2.0 / s.i
FROM jobs j CROSS JOIN s CROSS JOIN (SELECT 'train' AS phase UNION ALL SELECT 'val') p
WHERE j.experiment_id = {experiment} AND j.epochs >= s.i"""
)


def fill(database: Database, experiments: int, jobs: int, epochs: int) -> None:
    """The experiments, and one of long curves; all by statements of the database's own."""
    database.upgrade()
    with database.begin() as c:
        sizes = [(f"large-{i}", jobs, epochs) for i in range(experiments)]
        sizes += [(LONG, 100, 1000), ("wide", 1000, 100)]
        first = 0
        for number, (name, count, each) in enumerate(sizes, 1):
            c.exec_driver_sql(
                "INSERT INTO experiments (id, name, created_at, is_paused, served_at)"
                f" VALUES ({number}, '{name}', 1e9, false, 0)"
            )
            values = {"n": count, "first": first, "experiment": number, "epochs": each}
            c.exec_driver_sql(_text(database, _JOBS.format(**values)))
            c.exec_driver_sql(_text(database, _METRICS.format(**{**values, "n": each})))
            first += count
    with database.engine.connect() as c:
        c.exec_driver_sql("ANALYZE")
        c.commit()


def _text(database: Database, statement: str) -> str:
    """PostgreSQL's substr counts from the left only, and its driver takes % for its own."""
    if database.is_sqlite:
        return statement
    return statement.replace(
        "substr('0000' || (1 + i * 37 % 999), -4)", "right('0000' || (1 + i * 37 % 999), 4)"
    ).replace("%", "%%")

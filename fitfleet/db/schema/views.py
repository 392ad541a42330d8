"""The views: a public contract for SQL, pandas, psql, DuckDB and BI tools.

COLUMNS is the contract, column by column; docs/reference/sql.md shows it and tests hold it. The
views answer the same on SQLite and PostgreSQL.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from fitfleet.db.dialect import clock_sql, iso_sql
from fitfleet.db.schema import (
    access_views,
    import_tables,
    lineage_views,
    memory_tables,
    queue_views,
)

# Times are ISO-8601 text in UTC, so that they sort and compare as text on both databases.
TYPES = ("integer", "real", "text", "time", "json")

# view -> [(column, one of TYPES, meaning)]
COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "runs": [
        ("job_id", "integer", "number of the job"),
        ("experiment", "text", "its experiment"),
        ("status", "text", "QUEUED, DISPATCHED, RUNNING, SUCCEEDED, FAILED, CANCELLED or PRUNED"),
        ("params", "json", "JSON object of what the user varies"),
        ("seed", "integer", "seed of weights, order and dropout"),
        ("fold", "integer", "index of the cross-validation fold; NULL without folds"),
        ("group_hash", "text", "equal for jobs that differ in seed and fold only"),
        ("queue", "text", "queue of the job"),
        ("priority", "integer", "larger goes first"),
        ("epochs", "integer", "epochs asked for"),
        ("epoch", "integer", "epochs done"),
        ("attempts", "integer", "number of times it was started"),
        ("failures", "integer", "how many attempts failed"),
        ("seconds", "real", "time spent in attempts, without lost ones"),
        ("submitted_at", "time", "time of submission"),
        ("started_at", "time", "start of the first attempt"),
        ("finished_at", "time", "end; NULL while it has not ended"),
        ("worker", "text", "slot that runs it, or ran its last attempt"),
        ("engine", "text", "fit, reuse, loop or fused"),
        ("engine_reason", "text", "why that engine"),
        ("failure_class", "text", "user, nan, timeout, memory, lost, stalled, storage or internal"),
        ("failure_message", "text", "one sentence"),
        ("parameters", "integer", "number of weights of the model"),
        ("loss", "real", "training loss of the epoch whose weights are kept, else of the last"),
        ("val_loss", "real", "validation loss of that epoch"),
        ("best_val_loss", "real", "smallest validation loss of all epochs"),
        ("best_epoch", "integer", "the first epoch with that loss"),
        ("test_loss", "real", "loss on the test arrays"),
        ("checkpoint_path", "text", "newest checkpoint, relative to the storage"),
        ("artifact_path", "text", "weights file, relative to the storage"),
        ("artifact_bytes", "integer", "its size"),
        (
            "kept_epoch",
            "integer",
            "epoch whose weights are kept (use_ema: the last); NULL before there are any",
        ),
        ("last_loss", "real", "training loss of the last epoch"),
        ("last_val_loss", "real", "validation loss of the last epoch"),
        ("nan_epoch", "integer", "the first epoch whose loss was NaN or infinite; NULL: none was"),
        (
            "train_seconds",
            "real",
            "epochs times the median one of the last attempt, its first, which traces, left out;"
            " NULL before it has succeeded",
        ),
        ("requires", "json", "JSON object of what its slot must have; NULL: nothing"),
        (
            "stopped_by",
            "text",
            "budget: stop_after or its sweep's budget ended it before its last epoch; else NULL",
        ),
        ("user_name", "text", "owner of its experiment; NULL: unknown"),
        ("tags", "json", "JSON array of its tags, sorted; [] if it has none"),
        ("note", "text", "its note; empty if there is none"),
    ],
    "curves": [
        ("job_id", "integer", "number of the job"),
        ("experiment", "text", "its experiment"),
        ("epoch", "integer", "1 is the first"),
        ("metric", "text", "Keras's name without val_"),
        ("phase", "text", "train or val"),
        ("value", "real", "value at the end of the epoch; NULL is NaN"),
    ],
    "groups": [
        ("experiment", "text", "the experiment"),
        ("group_hash", "text", "one configuration: jobs that differ in seed and fold only"),
        ("params", "json", "params of its first job"),
        ("metric", "text", "Keras's name without val_ or test_, or an evaluator's"),
        ("phase", "text", "train or val; test: Keras after the fit; score: an evaluator"),
        ("n", "integer", "succeeded jobs with a value, a seed and fold once (its newest run)"),
        ("mean", "real", "mean of their values: of the epoch whose weights are kept, or the score"),
        ("std", "real", "standard deviation (n - 1); NULL for n = 1"),
        ("low", "real", "lower end of the 95 % t interval of the mean; NULL for n = 1"),
        ("high", "real", "upper end"),
        ("minimum", "real", "smallest value"),
        ("maximum", "real", "largest value"),
        ("seconds", "real", "mean time of a job"),
        ("epochs", "integer", "epochs that each of them was asked for"),
        ("diverged", "integer", "further succeeded jobs, whose value is NaN or beyond 1e150"),
    ],
    "leaderboard": [
        ("experiment", "text", "the experiment"),
        ("metric", "text", "Keras's name without val_ or test_, or an evaluator's"),
        ("phase", "text", "train or val; test: Keras after the fit; score: an evaluator"),
        ("job_id", "integer", "number of a succeeded job"),
        ("params", "json", "its params"),
        ("seed", "integer", "its seed"),
        ("value", "real", "value of the epoch whose weights are kept, or its score"),
        ("rank_low", "integer", "1 for the smallest value of the experiment"),
        ("rank_high", "integer", "1 for the largest"),
        ("epoch", "integer", "epoch whose weights are kept, which the value is of"),
    ],
    "workers": [
        ("worker", "text", "slot: host:pid:slot:token"),
        ("service", "text", "Celery node name of the service"),
        ("host", "text", "host name"),
        ("pid", "integer", "process of the service"),
        ("slot", "integer", "number of the slot in its service"),
        ("queue", "text", "queue that it serves"),
        ("device", "text", "cpu or the GPU"),
        ("started_at", "time", "start of the service"),
        ("heartbeat_at", "time", "last heartbeat"),
        ("ended_at", "time", "end; NULL while it runs, or if it was killed"),
        ("is_draining", "integer", "1 while it drains"),
        ("running", "integer", "jobs it holds"),
        ("name", "text", "host/cpu0 or host/gpu1, the same after a restart"),
        ("labels", "json", "JSON object of what jobs may require of it"),
    ],
    "events": [
        ("event_id", "integer", "number, in order of time"),
        ("at", "time", "time"),
        ("kind", "text", "retry, failed, cancelled, released, preempted, extended, paused, ..."),
        ("job_id", "integer", "the job, if it concerns one"),
        ("attempt", "integer", "its attempt"),
        ("worker", "text", "slot or service, if it concerns one"),
        ("detail", "text", "one sentence"),
    ],
    **lineage_views.COLUMNS,
    **import_tables.COLUMNS,
    **access_views.COLUMNS,
    **queue_views.COLUMNS,
    **memory_tables.COLUMNS,
}


# Without experiments that are being removed, which have lost their names (db/jobs/removal).
_OF_EXPERIMENT = "JOIN experiments e ON e.id = j.experiment_id AND e.removing IS NULL"
# Weights of an earlier epoch are kept where restore_best_weights put them back.
_SHOWN = "CASE WHEN j.status = 'SUCCEEDED' THEN COALESCE(j.kept_epoch, j.epoch) ELSE j.epoch END"
# PostgreSQL refuses a product beyond its range: one such value would take the view from everybody.
_SQUARABLE = "BETWEEN -1e150 AND 1e150"
_FINITE = "BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"


def _loss(phase: str, epoch: str) -> str:
    return (
        f"(SELECT m.value FROM metrics m WHERE m.job_id = j.id AND m.epoch = {epoch}"
        f" AND m.metric = 'loss' AND m.phase = '{phase}')"
    )


def _best(columns: str) -> str:
    return (
        f"(SELECT {columns} FROM metrics m WHERE m.job_id = j.id AND m.metric = 'loss'"
        " AND m.phase = 'val'"
    )


def _finals(columns: str) -> str:
    """What each succeeded job came to: the metrics of the weights it keeps, and its scores."""
    return f"""
SELECT {columns}, m.metric AS metric, m.phase AS phase, m.value AS value
FROM jobs j {_OF_EXPERIMENT}
  JOIN metrics m ON m.job_id = j.id AND m.epoch = COALESCE(j.kept_epoch, j.epoch)
WHERE j.status = 'SUCCEEDED'
UNION ALL
SELECT {columns},
  CASE WHEN s.source = 'keras' AND substr(s.name, 1, 5) = 'test_' THEN substr(s.name, 6)
    ELSE s.name END AS metric,
  CASE WHEN s.source = 'keras' THEN 'test' ELSE 'score' END AS phase, s.value AS value
FROM jobs j {_OF_EXPERIMENT} JOIN scores s ON s.job_id = j.id
WHERE j.status = 'SUCCEEDED'"""


def definitions(dialect: str) -> dict[str, str]:
    """The SELECT of each view, in the SQL of the dialect."""
    iso = partial(iso_sql, dialect=dialect)
    grouped = _finals(
        "e.name AS experiment, j.id AS job_id, j.group_hash AS group_hash, j.seconds AS seconds,"
        " j.epochs AS epochs, j.content_hash AS content_hash"
    )
    ranked = _finals(
        "e.name AS experiment, j.id AS job_id, j.params AS params, j.seed AS seed,"
        " COALESCE(j.kept_epoch, j.epoch) AS epoch"
    )
    number = "INTEGER" if dialect == "sqlite" else "integer"
    return {
        "runs": f"""
SELECT j.id AS job_id, e.name AS experiment, j.status AS status, j.params AS params,
  j.seed AS seed, j.fold AS fold, j.group_hash AS group_hash, j.queue AS queue,
  j.priority AS priority, j.epochs AS epochs, j.epoch AS epoch, j.attempt AS attempts,
  j.failures AS failures, j.seconds AS seconds, {iso("j.submitted_at")} AS submitted_at,
  {iso("j.started_at")} AS started_at, {iso("j.finished_at")} AS finished_at,
  (SELECT a.worker FROM attempts a WHERE a.job_id = j.id AND a.attempt = j.attempt) AS worker,
  j.engine AS engine, j.engine_reason AS engine_reason, j.failure_class AS failure_class,
  j.failure_message AS failure_message, j.parameters AS parameters,
  {_loss("train", _SHOWN)} AS loss, {_loss("val", _SHOWN)} AS val_loss,
  {_best("MIN(m.value)")}) AS best_val_loss,
  {_best("m.epoch")} AND m.value IS NOT NULL
    ORDER BY m.value, m.epoch LIMIT 1) AS best_epoch,
  (SELECT s.value FROM scores s WHERE s.job_id = j.id AND s.name = 'test_loss') AS test_loss,
  j.checkpoint_path AS checkpoint_path, j.artifact_path AS artifact_path,
  j.artifact_bytes AS artifact_bytes,
  CASE WHEN j.status = 'SUCCEEDED' THEN COALESCE(j.kept_epoch, j.epoch) END AS kept_epoch,
  {_loss("train", "j.epoch")} AS last_loss, {_loss("val", "j.epoch")} AS last_val_loss,
  j.nan_epoch AS nan_epoch, j.train_seconds AS train_seconds,
  (SELECT r.document FROM requirements r WHERE r.id = j.requirement_id) AS requires,
  j.stopped_by AS stopped_by, e.user_name AS user_name,
  COALESCE((SELECT l.tags FROM job_labels l WHERE l.job_id = j.id), '[]') AS tags,
  COALESCE((SELECT l.note FROM job_labels l WHERE l.job_id = j.id), '') AS note
FROM jobs j {_OF_EXPERIMENT}""",
        "curves": f"""
SELECT m.job_id AS job_id, e.name AS experiment, m.epoch AS epoch, m.metric AS metric,
  m.phase AS phase, m.value AS value
FROM metrics m JOIN jobs j ON j.id = m.job_id {_OF_EXPERIMENT}""",
        "groups": f"""
SELECT g.experiment, g.group_hash, f.params AS params, g.metric, g.phase, g.n, g.mean,
  g.std, g.mean - t.t975 * g.std / sqrt(g.n) AS low, g.mean + t.t975 * g.std / sqrt(g.n) AS high,
  g.minimum, g.maximum, g.seconds, g.epochs, g.diverged
FROM (
  SELECT d.*, CASE WHEN d.n > 1 THEN sqrt(d.squares / (d.n - 1)) END AS std FROM (
    SELECT v.experiment, v.group_hash, v.epochs, v.metric, v.phase, COUNT(v.value) AS n,
      MIN(v.mean) AS mean, SUM(CASE
        WHEN ABS(v.value - v.mean) > 1e-150 THEN (v.value - v.mean) * (v.value - v.mean)
        WHEN v.value IS NOT NULL THEN 0.0 END) AS squares,
      MIN(v.value) AS minimum, MAX(v.value) AS maximum,
      AVG(CASE WHEN v.value IS NOT NULL THEN v.seconds END) AS seconds,
      MIN(v.job_id) AS first_job, COUNT(*) - COUNT(v.value) AS diverged
    FROM (
      SELECT u.*, AVG(u.value)
        OVER (PARTITION BY u.experiment, u.group_hash, u.epochs, u.metric, u.phase) AS mean
      FROM (
        SELECT f.experiment, f.group_hash, f.epochs, f.metric, f.phase, f.job_id, f.seconds,
          CASE WHEN f.value {_SQUARABLE} THEN f.value END AS value, ROW_NUMBER()
            OVER (PARTITION BY f.experiment, f.content_hash, f.metric, f.phase
              ORDER BY f.job_id DESC) AS run
        FROM ({grouped}) f
      ) u WHERE u.run = 1
    ) v GROUP BY v.experiment, v.group_hash, v.epochs, v.metric, v.phase HAVING COUNT(v.value) > 0
  ) d) g JOIN jobs f ON f.id = g.first_job
  LEFT JOIN t_quantiles t ON t.df = CASE WHEN g.n > 1000 THEN 999 ELSE g.n - 1 END""",
        "leaderboard": f"""
SELECT f.experiment, f.metric, f.phase, f.job_id, f.params, f.seed, f.value,
  RANK() OVER (PARTITION BY f.experiment, f.metric, f.phase ORDER BY f.value) AS rank_low,
  RANK() OVER (PARTITION BY f.experiment, f.metric, f.phase ORDER BY f.value DESC) AS rank_high,
  f.epoch AS epoch FROM ({ranked}) f WHERE f.value {_FINITE}""",
        "workers": f"""
SELECT w.id AS worker, w.service AS service, w.host AS host, w.pid AS pid, w.slot AS slot,
  w.queue AS queue, w.device AS device, {iso("w.started_at")} AS started_at,
  {iso("w.heartbeat_at")} AS heartbeat_at, {iso("w.ended_at")} AS ended_at,
  CAST(w.is_draining AS {number}) AS is_draining,
  (SELECT COUNT(j.id) FROM jobs j WHERE j.status = 'RUNNING' AND j.owner = w.id) AS running,
  w.name AS name, w.labels AS labels
FROM worker_slots w""",
        "events": f"""
SELECT v.id AS event_id, {iso("v.at")} AS at, v.kind AS kind, v.job_id AS job_id,
  v.attempt AS attempt, v.worker AS worker, v.detail AS detail
FROM job_events v LEFT JOIN jobs j ON j.id = v.job_id
  LEFT JOIN experiments e ON e.id = j.experiment_id
WHERE e.removing IS NULL""",
        **lineage_views.definitions(),
        **import_tables.definitions(),
        **access_views.definitions(iso, number),
        **queue_views.definitions(clock_sql(dialect)),
        **memory_tables.definitions(iso),
    }


def drop(c: Connection) -> None:
    """Remove all views, so that a migration may change what they show."""
    for name in COLUMNS:
        c.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def create(c: Connection) -> None:
    """Make all views, in the migration's transaction."""
    for name, definition in definitions(c.dialect.name).items():
        c.exec_driver_sql(f"CREATE VIEW {name} AS {definition}")

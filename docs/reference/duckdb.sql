-- The views in DuckDB, read live from the SQLite file of a fleet. First:
-- ATTACH '.fitfleet/fleet.db' AS fleet (TYPE sqlite, READ_ONLY);
-- Written by `make docs` from the code.

CREATE OR REPLACE VIEW runs AS SELECT
  CAST("job_id" AS BIGINT) AS "job_id",
  CAST("experiment" AS VARCHAR) AS "experiment",
  CAST("status" AS VARCHAR) AS "status",
  CAST("params" AS VARCHAR) AS "params",
  CAST("seed" AS BIGINT) AS "seed",
  CAST("fold" AS BIGINT) AS "fold",
  CAST("group_hash" AS VARCHAR) AS "group_hash",
  CAST("queue" AS VARCHAR) AS "queue",
  CAST("priority" AS BIGINT) AS "priority",
  CAST("epochs" AS BIGINT) AS "epochs",
  CAST("epoch" AS BIGINT) AS "epoch",
  CAST("attempts" AS BIGINT) AS "attempts",
  CAST("failures" AS BIGINT) AS "failures",
  CAST("seconds" AS DOUBLE) AS "seconds",
  CAST("submitted_at" AS VARCHAR) AS "submitted_at",
  CAST("started_at" AS VARCHAR) AS "started_at",
  CAST("finished_at" AS VARCHAR) AS "finished_at",
  CAST("worker" AS VARCHAR) AS "worker",
  CAST("engine" AS VARCHAR) AS "engine",
  CAST("engine_reason" AS VARCHAR) AS "engine_reason",
  CAST("failure_class" AS VARCHAR) AS "failure_class",
  CAST("failure_message" AS VARCHAR) AS "failure_message",
  CAST("parameters" AS BIGINT) AS "parameters",
  CAST("loss" AS DOUBLE) AS "loss",
  CAST("val_loss" AS DOUBLE) AS "val_loss",
  CAST("best_val_loss" AS DOUBLE) AS "best_val_loss",
  CAST("best_epoch" AS BIGINT) AS "best_epoch",
  CAST("test_loss" AS DOUBLE) AS "test_loss",
  CAST("checkpoint_path" AS VARCHAR) AS "checkpoint_path",
  CAST("artifact_path" AS VARCHAR) AS "artifact_path",
  CAST("artifact_bytes" AS BIGINT) AS "artifact_bytes",
  CAST("kept_epoch" AS BIGINT) AS "kept_epoch",
  CAST("last_loss" AS DOUBLE) AS "last_loss",
  CAST("last_val_loss" AS DOUBLE) AS "last_val_loss",
  CAST("nan_epoch" AS BIGINT) AS "nan_epoch",
  CAST("train_seconds" AS DOUBLE) AS "train_seconds",
  CAST("requires" AS VARCHAR) AS "requires",
  CAST("stopped_by" AS VARCHAR) AS "stopped_by",
  CAST("user_name" AS VARCHAR) AS "user_name",
  CAST("tags" AS VARCHAR) AS "tags",
  CAST("note" AS VARCHAR) AS "note"
FROM fleet.runs;

CREATE OR REPLACE VIEW curves AS SELECT
  CAST("job_id" AS BIGINT) AS "job_id",
  CAST("experiment" AS VARCHAR) AS "experiment",
  CAST("epoch" AS BIGINT) AS "epoch",
  CAST("metric" AS VARCHAR) AS "metric",
  CAST("phase" AS VARCHAR) AS "phase",
  CAST("value" AS DOUBLE) AS "value"
FROM fleet.curves;

CREATE OR REPLACE VIEW groups AS SELECT
  CAST("experiment" AS VARCHAR) AS "experiment",
  CAST("group_hash" AS VARCHAR) AS "group_hash",
  CAST("params" AS VARCHAR) AS "params",
  CAST("metric" AS VARCHAR) AS "metric",
  CAST("phase" AS VARCHAR) AS "phase",
  CAST("n" AS BIGINT) AS "n",
  CAST("mean" AS DOUBLE) AS "mean",
  CAST("std" AS DOUBLE) AS "std",
  CAST("low" AS DOUBLE) AS "low",
  CAST("high" AS DOUBLE) AS "high",
  CAST("minimum" AS DOUBLE) AS "minimum",
  CAST("maximum" AS DOUBLE) AS "maximum",
  CAST("seconds" AS DOUBLE) AS "seconds",
  CAST("epochs" AS BIGINT) AS "epochs",
  CAST("diverged" AS BIGINT) AS "diverged"
FROM fleet.groups;

CREATE OR REPLACE VIEW leaderboard AS SELECT
  CAST("experiment" AS VARCHAR) AS "experiment",
  CAST("metric" AS VARCHAR) AS "metric",
  CAST("phase" AS VARCHAR) AS "phase",
  CAST("job_id" AS BIGINT) AS "job_id",
  CAST("params" AS VARCHAR) AS "params",
  CAST("seed" AS BIGINT) AS "seed",
  CAST("value" AS DOUBLE) AS "value",
  CAST("rank_low" AS BIGINT) AS "rank_low",
  CAST("rank_high" AS BIGINT) AS "rank_high",
  CAST("epoch" AS BIGINT) AS "epoch"
FROM fleet.leaderboard;

CREATE OR REPLACE VIEW workers AS SELECT
  CAST("worker" AS VARCHAR) AS "worker",
  CAST("service" AS VARCHAR) AS "service",
  CAST("host" AS VARCHAR) AS "host",
  CAST("pid" AS BIGINT) AS "pid",
  CAST("slot" AS BIGINT) AS "slot",
  CAST("queue" AS VARCHAR) AS "queue",
  CAST("device" AS VARCHAR) AS "device",
  CAST("started_at" AS VARCHAR) AS "started_at",
  CAST("heartbeat_at" AS VARCHAR) AS "heartbeat_at",
  CAST("ended_at" AS VARCHAR) AS "ended_at",
  CAST("is_draining" AS BIGINT) AS "is_draining",
  CAST("running" AS BIGINT) AS "running",
  CAST("name" AS VARCHAR) AS "name",
  CAST("labels" AS VARCHAR) AS "labels"
FROM fleet.workers;

CREATE OR REPLACE VIEW events AS SELECT
  CAST("event_id" AS BIGINT) AS "event_id",
  CAST("at" AS VARCHAR) AS "at",
  CAST("kind" AS VARCHAR) AS "kind",
  CAST("job_id" AS BIGINT) AS "job_id",
  CAST("attempt" AS BIGINT) AS "attempt",
  CAST("worker" AS VARCHAR) AS "worker",
  CAST("detail" AS VARCHAR) AS "detail"
FROM fleet.events;

CREATE OR REPLACE VIEW lineage AS SELECT
  CAST("sweep" AS VARCHAR) AS "sweep",
  CAST("experiment" AS VARCHAR) AS "experiment",
  CAST("generation" AS BIGINT) AS "generation",
  CAST("member" AS BIGINT) AS "member",
  CAST("trial" AS BIGINT) AS "trial",
  CAST("job_id" AS BIGINT) AS "job_id",
  CAST("parent_job_id" AS BIGINT) AS "parent_job_id",
  CAST("parent_member" AS BIGINT) AS "parent_member",
  CAST("is_exploited" AS BIGINT) AS "is_exploited",
  CAST("params" AS VARCHAR) AS "params",
  CAST("changes" AS VARCHAR) AS "changes"
FROM fleet.lineage;

CREATE OR REPLACE VIEW imported_points AS SELECT
  CAST("sweep" AS VARCHAR) AS "sweep",
  CAST("experiment" AS VARCHAR) AS "experiment",
  CAST("number" AS BIGINT) AS "number",
  CAST("source" AS VARCHAR) AS "source",
  CAST("source_trial" AS VARCHAR) AS "source_trial",
  CAST("params" AS VARCHAR) AS "params",
  CAST("objectives" AS VARCHAR) AS "objectives",
  CAST("left_out" AS VARCHAR) AS "left_out",
  CAST("unused" AS VARCHAR) AS "unused"
FROM fleet.imported_points;

CREATE OR REPLACE VIEW audit AS SELECT
  CAST("audit_id" AS BIGINT) AS "audit_id",
  CAST("at" AS VARCHAR) AS "at",
  CAST("user_name" AS VARCHAR) AS "user_name",
  CAST("token_id" AS VARCHAR) AS "token_id",
  CAST("action" AS VARCHAR) AS "action",
  CAST("target" AS VARCHAR) AS "target",
  CAST("detail" AS VARCHAR) AS "detail"
FROM fleet.audit;

CREATE OR REPLACE VIEW users AS SELECT
  CAST("user_name" AS VARCHAR) AS "user_name",
  CAST("max_running" AS BIGINT) AS "max_running",
  CAST("in_flight" AS BIGINT) AS "in_flight",
  CAST("gpu_hours" AS DOUBLE) AS "gpu_hours",
  CAST("gpu_hours_used" AS DOUBLE) AS "gpu_hours_used",
  CAST("group_name" AS VARCHAR) AS "group_name",
  CAST("shares" AS DOUBLE) AS "shares"
FROM fleet.users;

CREATE OR REPLACE VIEW shares AS SELECT
  CAST("kind" AS VARCHAR) AS "kind",
  CAST("name" AS VARCHAR) AS "name",
  CAST("group_name" AS VARCHAR) AS "group_name",
  CAST("shares" AS DOUBLE) AS "shares",
  CAST("slots" AS BIGINT) AS "slots",
  CAST("in_flight" AS BIGINT) AS "in_flight",
  CAST("max_running" AS BIGINT) AS "max_running",
  CAST("gpu_hours" AS DOUBLE) AS "gpu_hours",
  CAST("gpu_hours_used" AS DOUBLE) AS "gpu_hours_used"
FROM fleet.shares;

CREATE OR REPLACE VIEW tokens AS SELECT
  CAST("token_id" AS VARCHAR) AS "token_id",
  CAST("user_name" AS VARCHAR) AS "user_name",
  CAST("scope" AS VARCHAR) AS "scope",
  CAST("created_at" AS VARCHAR) AS "created_at",
  CAST("expires_at" AS VARCHAR) AS "expires_at",
  CAST("revoked_at" AS VARCHAR) AS "revoked_at",
  CAST("max_jobs" AS BIGINT) AS "max_jobs"
FROM fleet.tokens;

CREATE OR REPLACE VIEW backlog AS SELECT
  CAST("queue" AS VARCHAR) AS "queue",
  CAST("ready" AS BIGINT) AS "ready",
  CAST("held" AS BIGINT) AS "held",
  CAST("in_flight" AS BIGINT) AS "in_flight"
FROM fleet.backlog;

CREATE OR REPLACE VIEW memory AS SELECT
  CAST("architecture" AS VARCHAR) AS "architecture",
  CAST("batch_size" AS BIGINT) AS "batch_size",
  CAST("dtype" AS VARCHAR) AS "dtype",
  CAST("optimizer" AS VARCHAR) AS "optimizer",
  CAST("engine" AS VARCHAR) AS "engine",
  CAST("cohort" AS BIGINT) AS "cohort",
  CAST("device" AS VARCHAR) AS "device",
  CAST("peak_bytes" AS BIGINT) AS "peak_bytes",
  CAST("framework_bytes" AS BIGINT) AS "framework_bytes",
  CAST("driver_bytes" AS BIGINT) AS "driver_bytes",
  CAST("bound_bytes" AS BIGINT) AS "bound_bytes",
  CAST("measured_at" AS VARCHAR) AS "measured_at"
FROM fleet.memory;

"""The tables, normalised for writing. For reading there are the views (db/schema/views).

Times are seconds since 1970 by the database's own clock, as double precision.
A NaN metric or score is stored as NULL, since SQLite has no NaN.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    case,
    func,
    text,
)

from fitfleet.db.schema.access_tables import audit as audit
from fitfleet.db.schema.access_tables import fleet_keys as fleet_keys
from fitfleet.db.schema.access_tables import groups as groups
from fitfleet.db.schema.access_tables import served_shares as served_shares
from fitfleet.db.schema.access_tables import tokens as tokens
from fitfleet.db.schema.access_tables import users as users
from fitfleet.db.schema.gang_tables import gang_slots as gang_slots
from fitfleet.db.schema.memory_tables import memory_peaks as memory_peaks
from fitfleet.db.schema.memory_tables import memory_waits as memory_waits
from fitfleet.db.schema.metadata import BigId
from fitfleet.db.schema.metadata import metadata as metadata
from fitfleet.db.schema.spec_tables import job_specs as job_specs
from fitfleet.db.schema.spec_tables import shared_documents as shared_documents
from fitfleet.db.schema.sweep_tables import sweeps as sweeps
from fitfleet.db.schema.sweep_tables import trial_jobs as trial_jobs
from fitfleet.db.schema.sweep_tables import trials as trials
from fitfleet.db.schema.webhook_tables import ended_experiments as ended_experiments
from fitfleet.db.schema.webhook_tables import notifications as notifications
from fitfleet.db.schema.webhook_tables import trace_cursor as trace_cursor
from fitfleet.db.schema.webhook_tables import webhooks as webhooks

experiments = Table(
    "experiments",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("is_paused", Boolean, nullable=False, default=False),
    Column("max_running", Integer),  # NULL: no limit
    # Who made it, whose quota its jobs count for; NULL: it is older than the column.
    Column("user_name", String(64)),
    Column("token_id", String(16)),  # by which token; NULL: by none, or older than the column
    # When a job of it was last dispatched: of equal ones the least recently served goes first.
    Column("served_at", Double, nullable=False, default=0.0, server_default=text("0")),
    # The name that it had until its removal began (db/jobs/removal); NULL: it stays
    Column("removing", String(128)),
)

CHAINED = text("starts_from IS NOT NULL")
REQUIRING = text("requirement_id <> 0")
jobs = Table(
    "jobs",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False),
    Column("sweep_id", ForeignKey("sweeps.id"), index=True),
    # identity
    Column("content_hash", String(64), nullable=False),  # spec + data + seed
    Column("group_hash", String(64), nullable=False),  # the same without seed and fold
    Column("fuse_key", String(64)),  # NULL: never trained together with others
    Column("rerun", Integer, nullable=False, default=0),  # again=True counts up
    Column("adopted_from", ForeignKey("jobs.id")),  # results taken over from another experiment
    Column("fingerprint", String(64)),  # of the dataset; NULL: it was not visible at submit
    Column("params", Text, nullable=False, default="{}"),  # JSON object, what the user varies
    Column("seed", BigId, nullable=False),
    Column("fold", Integer),  # NULL: no cross-validation
    # dispatch
    Column("queue", String(64), nullable=False),
    Column("priority", Integer, nullable=False, default=0),  # larger goes first
    Column("status", String(16), nullable=False),
    Column("dispatch_seq", Integer, nullable=False, default=0),
    Column("dispatched_at", Double),
    Column("not_before", Double, nullable=False, default=0.0),
    # requirements.id: what its slot must have; 0: nothing
    Column("requirement_id", BigId, nullable=False, default=0, server_default=text("0")),
    # The Celery queue that its message is in (worker_slots.route); NULL: the one of its name
    Column("sent_to", String(128)),
    # The lowest version of fitfleet that may claim it (spec.versions.number_of).
    Column("min_version", Integer, nullable=False, default=0, server_default=text("0")),
    Column("submitted_at", Double, nullable=False),
    Column("starts_from", BigId),  # jobs.id; it waits for that one's weights (db/jobs/dependencies)
    # running: every write below is fenced by (id, attempt, owner, RUNNING)
    Column("attempt", Integer, nullable=False, default=0),
    Column("owner", String(128)),  # workers.id
    Column("lease_until", Double),
    Column("progress_at", Double),
    Column("request", String(16)),  # states.Request
    Column("started_at", Double),  # of the first attempt
    Column("finished_at", Double),
    Column("seconds", Double, nullable=False, default=0.0),  # spent in attempts that were not lost
    # Epochs times their median time, without tracing, loading and saving; NULL before success
    Column("train_seconds", Double),
    Column("epochs", Integer, nullable=False),  # asked for
    Column("epoch", Integer, nullable=False, default=0),  # done
    Column("failures", Integer, nullable=False, default=0),
    Column("max_failures", Integer, nullable=False),
    Column("refused_since", Double),  # by the storage, with no checkpoint written since
    Column("timeout_s", Double),
    Column("stall_timeout_s", Double),
    Column("memory_step", Integer, nullable=False, default=0),  # OOM fallback level
    # Set apart for it on the device where it runs; NULL: it has that to itself (db/fleet/admission)
    Column("needs_bytes", BigId),
    # outcome
    Column("failure_class", String(16)),
    Column("failure_message", Text),
    Column("failure_traceback", Text),
    Column("checkpoint_path", Text),  # relative to the storage
    Column("checkpoint_epoch", Integer),
    Column("checkpoint_sha256", String(64)),  # NULL: it was written before the column was there
    Column("artifact_path", Text),  # relative to the storage
    Column("artifact_sha256", String(64)),
    Column("artifact_bytes", BigId),
    # The epoch whose weights the artifact holds, which may be the best and not the last; NULL: none
    Column("kept_epoch", Integer),
    Column("stopped_by", String(16)),  # budget: it ended before its last epoch; NULL: it did not
    Column("nan_epoch", Integer),  # the first whose loss was not finite; NULL: none was
    Column("parameters", BigId),  # number of weights of the model
    Column("engine", String(16)),  # fit, reuse, loop, fused
    Column("engine_reason", Text),
    UniqueConstraint("experiment_id", "content_hash", "rerun"),
    # What the dispatcher asks: the first waiting jobs of an experiment that ask the same of a slot.
    Index(
        "ix_jobs_waiting",
        *("status", "queue", "experiment_id", "requirement_id", text("priority DESC"), "id"),
    ),
    Index(
        "ix_jobs_requirement_id",
        *("requirement_id", "status", "queue"),
        sqlite_where=REQUIRING,
        postgresql_where=REQUIRING,
    ),
    Index("ix_jobs_lease", "status", "lease_until"),
    Index("ix_jobs_group", "experiment_id", "group_hash"),
    # What a cohort is made of: the first waiting ones of one program in one experiment.
    Index("ix_jobs_fuse", "fuse_key", "status", "experiment_id", text("priority DESC"), "id"),
    Index("ix_jobs_content", "content_hash"),
    # Whom the deletion of a job concerns.
    Index(
        "ix_jobs_adopted_from",
        "adopted_from",
        sqlite_where=text("adopted_from IS NOT NULL"),
        postgresql_where=text("adopted_from IS NOT NULL"),
    ),
    Index("ix_jobs_starts_from", "starts_from", sqlite_where=CHAINED, postgresql_where=CHAINED),
    # What ended lately.
    Index("ix_jobs_finished", "finished_at"),
)

# What jobs ask of their slots, kept once each; jobs of one line wait for the same.
requirements = Table(
    "requirements",
    metadata,
    Column("id", BigId, primary_key=True),  # from 1
    Column("document", Text, nullable=False, unique=True),  # JSON, of spec.requirements
)

# Whose values stand for a job: the epoch whose weights it keeps, before that the last one.
shown_epoch = case(
    (jobs.c.status == "SUCCEEDED", func.coalesce(jobs.c.kept_epoch, jobs.c.epoch)),
    else_=jobs.c.epoch,
)

# Source code that jobs run, kept once by its hash; specifications name it.
code_snapshots = Table(
    "code_snapshots",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("archive", LargeBinary, nullable=False),  # a zip file
    Column("signature", String(64)),  # by the key of the storage; NULL: it was out of reach
    Column("created_at", Double, nullable=False),
)

# What people write on a job; nothing is computed from it.
job_labels = Table(
    "job_labels",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("tags", Text, nullable=False, default="[]"),  # JSON array, sorted
    Column("note", Text, nullable=False, default=""),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("worker", String(128), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("first_epoch", Integer),  # where it resumed the fit
    # succeeded, failed, cancelled, pruned, released, or a states.FailureClass when retried
    Column("outcome", String(16)),
    Column("message", Text),
    Column("traceback", Text),
    Column("log_tail", Text),
    Column("environment", Text),  # JSON: versions, device, oneDNN, jit; equality is per environment
    Column("engine", String(16)),
    Column("engine_reason", Text),
    Column("seconds", Double),
    Column("memory_peak_bytes", BigId),
    Column("gpus", Integer),  # NULL: one, or none
    # JSON: seconds since its start, of its phases and the ends of its epochs (worker.timeline);
    # NULL: its worker keeps no traces
    Column("phases", Text),
)

metrics = Table(
    "metrics",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),  # 1 is the first
    Column("metric", String(128), primary_key=True),  # without Keras's val_ prefix
    Column("phase", String(5), primary_key=True),  # train or val
    Column("value", Double),
)

scores = Table(
    "scores",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(128), primary_key=True),  # test_accuracy, or an evaluator's own name
    Column("value", Double),
    Column("source", String(128), nullable=False),  # keras, or the evaluator's module:function
)

workers = Table(
    "worker_slots",  # the view over it is `workers`
    metadata,
    Column("id", String(128), primary_key=True),  # host:pid:slot:token of the service
    Column("service", String(128), nullable=False, index=True),  # the Celery node name
    Column("host", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("queue", String(64), nullable=False),
    Column("device", String(128), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("heartbeat_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("is_draining", Boolean, nullable=False, default=False),
    Column("versions", Text, nullable=False, default="{}"),  # JSON: fitfleet, keras, tensorflow
    # Of fitfleet as a number; those from before it was told are of 0.1.0.
    Column("version", Integer, nullable=False, default=1000, server_default=text("1000")),
    Column("name", String(128)),  # host/cpu0, host/gpu1: the same after a restart; NULL: old
    Column("load", Text),  # JSON of the last heartbeat: CPU, memory, GPU
    Column("labels", Text, nullable=False, default="{}", server_default=text("'{}'")),  # JSON
    Column("device_bytes", BigId),  # what fits may use of its device; NULL: it is not watched
    # The Celery queue of all slots of these labels; empty: it has none, and serves only its queue
    Column("route", String(128), nullable=False, default="", server_default=text("''")),
)

events = Table(
    "job_events",  # the view over it is `events`
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", String(32), nullable=False),  # submitted, dispatched, claimed, lost, ...
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    Column("attempt", Integer),
    Column("worker", String(128)),
    Column("detail", Text),
)

# Which version of fitfleet brought the tables to which revision.
upgrades = Table(
    "upgrades",
    metadata,
    Column("revision", String(32), primary_key=True),
    Column("fitfleet", String(64), nullable=False),
    Column("upgraded_at", Double, nullable=False),
)

# Student's t at 97.5 %, for the intervals of view `groups`; filled by the first migration.
t_quantiles = Table(
    "t_quantiles",
    metadata,
    Column("df", Integer, primary_key=True, autoincrement=False),
    Column("t975", Double, nullable=False),
)

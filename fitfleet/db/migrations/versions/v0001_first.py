"""The first schema."""

import sqlalchemy as sa
from alembic import op

from fitfleet.db.migrations.quantiles import t975

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.Integer().with_variant(sa.BIGINT(), "postgresql")


def upgrade() -> None:
    """Make the tables, and fill Student's t for the intervals of view `groups`."""
    _placing()
    _jobs()
    _recording()
    _quantiles()


def _placing() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("max_running", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("name", name="uq_experiments_name"),
    )
    op.create_table(
        "t_quantiles",
        sa.Column("df", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("t975", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("df", name="pk_t_quantiles"),
    )
    op.create_table(
        "worker_slots",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("service", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=128), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("is_draining", sa.Boolean(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker_slots"),
    )
    op.create_index("ix_worker_slots_service", "worker_slots", ["service"])
    op.create_table(
        "sweeps",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("experiment_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name="fk_sweeps_experiment_id_experiments"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
        sa.UniqueConstraint("name", name="uq_sweeps_name"),
    )
    op.create_index("ix_sweeps_experiment_id", "sweeps", ["experiment_id"])


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("experiment_id", BIG_ID, nullable=False),
        sa.Column("sweep_id", BIG_ID, nullable=True),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("group_hash", sa.String(length=64), nullable=False),
        sa.Column("fuse_key", sa.String(length=64), nullable=True),
        sa.Column("rerun", sa.Integer(), nullable=False),
        sa.Column("adopted_from", BIG_ID, nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("seed", BIG_ID, nullable=False),
        sa.Column("fold", sa.Integer(), nullable=True),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("dispatch_seq", sa.Integer(), nullable=False),
        sa.Column("dispatched_at", sa.Double(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("progress_at", sa.Double(), nullable=True),
        sa.Column("request", sa.String(length=16), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("max_failures", sa.Integer(), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=True),
        sa.Column("stall_timeout_s", sa.Double(), nullable=True),
        sa.Column("memory_step", sa.Integer(), nullable=False),
        sa.Column("failure_class", sa.String(length=16), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_traceback", sa.Text(), nullable=True),
        sa.Column("checkpoint_path", sa.Text(), nullable=True),
        sa.Column("checkpoint_epoch", sa.Integer(), nullable=True),
        sa.Column("artifact_path", sa.Text(), nullable=True),
        sa.Column("artifact_sha256", sa.String(length=64), nullable=True),
        sa.Column("artifact_bytes", BIG_ID, nullable=True),
        sa.Column("parameters", BIG_ID, nullable=True),
        sa.Column("engine", sa.String(length=16), nullable=True),
        sa.Column("engine_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["adopted_from"], ["jobs.id"], name="fk_jobs_adopted_from_jobs"),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name="fk_jobs_experiment_id_experiments"
        ),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_jobs_sweep_id_sweeps"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint(
            "experiment_id",
            "content_hash",
            "rerun",
            name="uq_jobs_experiment_id_content_hash_rerun",
        ),
    )
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["status", "queue", "experiment_id", sa.text("priority DESC"), "id"],
    )
    op.create_index("ix_jobs_content", "jobs", ["content_hash"])
    op.create_index("ix_jobs_fuse", "jobs", ["fuse_key", "status"])
    op.create_index("ix_jobs_group", "jobs", ["experiment_id", "group_hash"])
    op.create_index("ix_jobs_lease", "jobs", ["status", "lease_until"])
    op.create_index("ix_jobs_sweep_id", "jobs", ["sweep_id"])
    op.create_table(
        "trials",
        sa.Column("sweep_id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("point_hash", sa.String(length=64), nullable=False),
        sa.Column("point", sa.Text(), nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("given_up", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["sweeps.id"], name="fk_trials_sweep_id_sweeps", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_trials"),
        sa.UniqueConstraint("sweep_id", "point_hash", name="uq_trials_sweep_id_point_hash"),
    )


def _recording() -> None:
    op.create_table(
        "attempts",
        sa.Column("job_id", BIG_ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("first_epoch", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("log_tail", sa.Text(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("engine", sa.String(length=16), nullable=True),
        sa.Column("engine_reason", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("memory_peak_bytes", BIG_ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_attempts_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "attempt", name="pk_attempts"),
    )
    op.create_table(
        "job_events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("job_id", BIG_ID, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("worker", sa.String(length=128), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_events_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_job_events"),
    )
    op.create_index("ix_job_events_job_id", "job_events", ["job_id"])
    op.create_table(
        "job_specs",
        sa.Column("job_id", BIG_ID, nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_specs_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_specs"),
    )
    op.create_table(
        "metrics",
        sa.Column("job_id", BIG_ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(length=128), nullable=False),
        sa.Column("phase", sa.String(length=5), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_metrics_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "epoch", "metric", "phase", name="pk_metrics"),
    )
    op.create_table(
        "scores",
        sa.Column("job_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_scores_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "name", name="pk_scores"),
    )
    op.create_table(
        "trial_jobs",
        sa.Column("sweep_id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("member", sa.Integer(), nullable=False),
        sa.Column("job_id", BIG_ID, nullable=False),
        sa.Column("is_reused", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_trial_jobs_job_id_jobs", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["sweeps.id"], name="fk_trial_jobs_sweep_id_sweeps", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", "member", name="pk_trial_jobs"),
    )
    op.create_index("ix_trial_jobs_job_id", "trial_jobs", ["job_id"])


def _quantiles() -> None:
    table = sa.table("t_quantiles", sa.column("df", sa.Integer()), sa.column("t975", sa.Double()))
    rows = [{"df": df, "t975": value} for df, value in enumerate(t975(), 1)]
    op.bulk_insert(table, rows)

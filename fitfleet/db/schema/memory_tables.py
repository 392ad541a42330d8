"""What fits were measured to need of memory: the table, and the view over it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table, text

from fitfleet.db.schema.metadata import BigId, metadata

memory_peaks = Table(
    "memory_peaks",  # the view over it is `memory`
    metadata,
    # spec.memory.FitKind
    Column("architecture", String(64), primary_key=True),
    Column("batch_size", Integer, primary_key=True, autoincrement=False),
    Column("dtype", String(64), primary_key=True),
    Column("optimizer", String(64), primary_key=True),
    Column("engine", String(16), primary_key=True),
    Column("cohort", Integer, primary_key=True, autoincrement=False),  # jobs trained at once
    Column("device", String(128), primary_key=True),  # cpu, or the model of the GPU
    # The largest of all attempts; 0: none has come to its end
    Column("peak_bytes", BigId, nullable=False),
    Column("framework_bytes", BigId),  # of it in TensorFlow's tensors; NULL: the CPU
    Column("driver_bytes", BigId),  # of the process as the driver says; NULL: it does not say
    # The most that an attempt had when it ran out of memory; 0: none did
    Column("bound_bytes", BigId, nullable=False, default=0, server_default=text("0")),
    Column("measured_at", Double, nullable=False),
)

# Jobs that a device had no memory for, until they start.
memory_waits = Table(
    "memory_waits",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(128), nullable=False),
    Column("device", String(128), nullable=False),
    Column("since", Double, nullable=False),
    Index("ix_memory_waits_device", "host", "device"),
)

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "memory": [
        ("architecture", "text", "hash of the model, its data and how it is compiled"),
        ("batch_size", "integer", "rows of a batch, smaller ones after it ran out of memory"),
        ("dtype", "text", "dtype policy"),
        ("optimizer", "text", "class of the optimizer"),
        ("engine", "text", "fit, loop, fused or open"),
        ("cohort", "integer", "jobs trained at once"),
        ("device", "text", "cpu, or the model of the GPU"),
        ("peak_bytes", "integer", "the most that a fit needed; NULL: none has finished"),
        ("framework_bytes", "integer", "of that in TensorFlow's tensors; NULL on the CPU"),
        (
            "driver_bytes",
            "integer",
            "of the process by the driver; NULL: the driver does not report it",
        ),
        ("bound_bytes", "integer", "what a fit used when it ran out of memory; NULL: none did"),
        ("measured_at", "time", "when the row changed last"),
    ],
}


def definitions(iso: Callable[[str], str]) -> dict[str, str]:
    """The SELECT of the view; `iso` writes a time as text."""
    return {
        "memory": f"""
SELECT m.architecture AS architecture, m.batch_size AS batch_size, m.dtype AS dtype,
  m.optimizer AS optimizer, m.engine AS engine, m.cohort AS cohort, m.device AS device,
  NULLIF(m.peak_bytes, 0) AS peak_bytes, m.framework_bytes AS framework_bytes,
  m.driver_bytes AS driver_bytes, NULLIF(m.bound_bytes, 0) AS bound_bytes,
  {iso("m.measured_at")} AS measured_at
FROM memory_peaks m""",
    }

"""A plain loop of build, compile and fit in one process."""

from __future__ import annotations

import workload

if __name__ == "__main__":
    task = workload.task()
    arrays = workload.load(task.data)
    losses = [workload.fit(task.model, point, arrays) for point in task.points]
    task.report(losses, versions=workload.versions())

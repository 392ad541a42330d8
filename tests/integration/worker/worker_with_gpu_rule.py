"""`fitfleet worker` that replaces its children by the rule for GPUs, on a machine that has none."""

from __future__ import annotations

import sys

from fitfleet.cli.main import main
from fitfleet.worker.process import service, serving
from fitfleet.worker.process.replacement import task_pool

serving.task_pool = lambda has_gpus, server, is_early: task_pool(has_gpus=True)
service.tasks.fork_server = lambda settings: None  # not for GPUs

if __name__ == "__main__":
    sys.argv = ["fitfleet", "worker", "--slots", "1"]
    main()

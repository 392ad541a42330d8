"""The parent of the children never loads TensorFlow: a fork after that hangs."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import sys
import fitfleet.worker.process.service, fitfleet.worker.process.tasks
from fitfleet.queue import celery_app
from fitfleet.settings import Settings
settings = Settings()
app = celery_app(settings)
fitfleet.worker.process.tasks.install(app, settings)
assert "fitfleet.run" in app.tasks
print([name for name in ("tensorflow", "keras", "pandas", "h5py") if name in sys.modules])
"""


def test_the_service_and_the_celery_app_stay_without_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"

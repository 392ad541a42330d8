"""The worker service and its child processes: Celery, devices, memory, replacement."""

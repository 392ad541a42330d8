"""Code of users in a worker: loading a snapshot, trusted imports, dataset functions."""

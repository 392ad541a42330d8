"""Callbacks of a job: made from its spec, and the files that they write."""

"""The check of a job before its row is written."""

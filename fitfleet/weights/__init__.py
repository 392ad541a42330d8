"""Weights files: read by the rules of datasets, and kept in the storage for jobs to start from."""

"""Untrusted files are read by a separate process before any other opens them."""

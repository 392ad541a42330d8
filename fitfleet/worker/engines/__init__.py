"""Engines train prepared jobs, an epoch at a time; the rest of a fit is in worker/fit.py."""

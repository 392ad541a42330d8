"""Comparing what finished: metrics, statistics, rankings, pictures, exports."""

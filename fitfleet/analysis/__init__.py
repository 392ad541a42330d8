"""Comparing what finished: metrics, statistics, rankings, plots, exports."""

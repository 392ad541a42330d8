"""Plots of what a fleet recorded; one file per plot. Needs the extra `plots`."""

"""Sweeps: search spaces, the plan, search, pruning, racing, and the driver that runs them."""

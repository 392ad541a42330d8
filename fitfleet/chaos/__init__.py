"""Faults on purpose: the drill that shows that they change no result."""

"""Fault injection: the drill that shows that faults change no result."""

"""Traced functions of the engines, and the store that keeps them on disk."""

"""Traced functions of the engines, and their files on the disk."""

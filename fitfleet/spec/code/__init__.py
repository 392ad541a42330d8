"""Snapshots of the user's code that jobs run: collected, hashed, archived, signed."""

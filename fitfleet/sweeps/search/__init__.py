"""The searches: which points come next, and which jobs need not continue."""

"""One file per page: what it reads, and how that is shown."""

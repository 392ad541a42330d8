"""One file a page: what it reads, and how that is shown."""

"""Plans: what a sweep or a job file would run, before anything is queued."""

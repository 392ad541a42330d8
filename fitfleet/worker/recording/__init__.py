"""Recording in the database: metrics, ends of jobs, failures, the lease."""

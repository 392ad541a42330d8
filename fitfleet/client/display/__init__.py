"""What a terminal, a notebook or a pipe shows of running jobs."""

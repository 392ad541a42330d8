"""What a worker writes of a job that it holds, fenced by its claim."""

"""What a script holds: the handles on fleets and jobs, waiting, the live display, `doctor`."""

"""The handles of a script on fleets and jobs, waiting, the live display, `doctor`."""

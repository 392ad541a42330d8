"""The fleet on a page: what runs, what waits and why, tables and curves that follow the fits."""

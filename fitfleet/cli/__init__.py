"""The command line. Exit codes are in `fitfleet.cli.exits`."""

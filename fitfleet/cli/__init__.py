"""The command line. Exit codes are in `fitfleet.cli.exit_codes`."""

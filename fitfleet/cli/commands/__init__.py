"""The commands, one file for each group; `fitfleet.cli.main` gives them their names."""

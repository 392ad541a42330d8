"""Pictures of what a fleet recorded; one file a plot. Needs the extra `plots`."""

"""The embedded fleet of one script: broker, scheduler and workers on this machine."""

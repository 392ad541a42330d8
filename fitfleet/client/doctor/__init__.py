"""`fitfleet doctor`: checks of a fleet's services, its storage and this host."""

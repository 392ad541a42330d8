"""The engines that train one job after the other: fit and loop."""

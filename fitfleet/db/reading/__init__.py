"""Jobs and what they recorded, for handles, displays and analysis. Nothing here writes."""

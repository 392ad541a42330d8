"""Workers, their free slots, and the free memory of their devices."""

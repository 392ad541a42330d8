"""Workers, and the room on their slots and devices."""

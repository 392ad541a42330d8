"""What many jobs have in common, stored once."""

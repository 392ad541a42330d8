"""What pages show, by queries that stay quick at a million metric rows. Nothing here writes."""

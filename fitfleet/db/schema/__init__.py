"""Tables and views: the schema as it is now."""

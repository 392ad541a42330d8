"""A fleet that is reached by its HTTP API: no database, no broker, no storage here."""

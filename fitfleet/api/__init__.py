"""The HTTP API of a fleet: clients and hosts that join need a URL and a token."""

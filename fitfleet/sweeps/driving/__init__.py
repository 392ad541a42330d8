"""The driver: it turns the points of a search into jobs until the sweep ends."""

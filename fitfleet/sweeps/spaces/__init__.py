"""Search spaces: their parameters, where they are in a document, and the values filled in."""

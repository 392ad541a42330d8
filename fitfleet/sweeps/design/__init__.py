"""The design of a sweep: checked, and as a document for another machine."""

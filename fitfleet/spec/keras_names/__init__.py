"""The names of Keras's classes and functions, and which of them a spec may use."""

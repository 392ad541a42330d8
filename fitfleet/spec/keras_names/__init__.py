"""What Keras knows by name, and which of it a spec may name."""

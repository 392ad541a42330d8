"""From Keras objects and their configs to the canonical form that is stored."""

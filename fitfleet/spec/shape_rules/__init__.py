"""Shapes and numbers of weights of a model, without Keras."""

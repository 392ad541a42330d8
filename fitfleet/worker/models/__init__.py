"""Keras models: building, adapting, predicting with, and combining them."""

"""Keras models with traced programs: their start, feeds and steps, and how jobs share them."""

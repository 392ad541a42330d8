"""Layers and optimizers of K models at once, for the fused engine."""

"""The state of a fit in HDF5: checkpoints, weights files, reading them back."""

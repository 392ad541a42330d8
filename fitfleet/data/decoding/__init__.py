"""Decoding the files of a folder into one HDF5 file; by the process that may die of them."""

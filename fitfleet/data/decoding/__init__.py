"""Images, sounds, texts, TFRecord and Zarr to one HDF5 file, in the checking process."""

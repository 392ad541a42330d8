"""Where files of datasets are, what identifies their content, and the cache of their arrays."""

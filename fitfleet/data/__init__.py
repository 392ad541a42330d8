"""Datasets: what a file contains, whether it is safe and fits the model, and its arrays.

NumPy and h5py only; nothing here knows TensorFlow.
"""

import os

# HDF5 reads this once, when h5py is first imported. Its file locks fail on many shared file
# systems, and they would keep a reader out while another job reads; files here are read-only.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

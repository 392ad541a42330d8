"""How a spec names a file of the storage; each machine has the storage where its setting says."""

from __future__ import annotations

STORAGE = "storage:"
DATASETS = "datasets"
STORED = (
    rf"storage:{DATASETS}/[0-9a-f]{{64}}\.(h5|hdf5|mat|npz|csv|tsv|csv\.gz|tsv\.gz|parquet|npy)"
)

"""HDF5 files, read without ever leaving the file.

h5py follows external links, external raw storage, soft links and virtual datasets without an
error, so that a hostile file could make it read any other file. Only plain datasets
reached by hard links, with HDF5's own harmless filters, are opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, Any

from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.hdf5_views import stored_bytes, view
from fitfleet.data.formats.source import (
    MAX_NAMES,
    Array,
    Header,
    Leaf,
    Opened,
    check_expansion,
    check_header,
    missing,
    rows_per_block,
)
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.text import first_line

MAX_CHUNK_BYTES = 256 * 2**20
MAX_DEPTH = 8
# HDF5's fletcher32 reads past the end of what a damaged file stores.
FILTERS = {1: "deflate", 2: "shuffle", 32000: "lzf"}


class Hdf5Source(Opened):
    """The datasets of an HDF5 file; names are paths such as `train/x`."""

    is_table = False

    def __init__(self, file: DataFile, limits: Limits) -> None:
        self._path = file.path
        self._max_bytes = limits.array_bytes
        self._bytes = file.open()
        self._file = open_file(self._path, self._bytes)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._bytes.close()

    def names(self) -> list[str]:
        """All datasets reached by hard links, and the names of other links."""
        return names_of(self._file, self._path)

    def header(self, leaf: Leaf) -> Header:
        """Shape and dtype of a dataset that passed all checks."""
        dataset = self.dataset(leaf)
        return Header(tuple(dataset.shape), dataset.dtype)

    def dataset(self, leaf: Leaf) -> Any:
        """The h5py dataset or a view of it, checked. Raises DatasetError."""
        return open_dataset(self._file, self._path, _one_name(self._path, leaf), self._max_bytes)

    def blocks(self, leaf: Leaf) -> Iterator[Array]:
        """Rows in blocks that begin where a chunk begins, so that each chunk is read once."""
        dataset = self.dataset(leaf)
        step = rows_per_block(Header(tuple(dataset.shape), dataset.dtype))
        if dataset.chunks:
            step = max(dataset.chunks[0], step // dataset.chunks[0] * dataset.chunks[0])
        for start in range(0, dataset.shape[0], step):
            yield read_rows(self._path, dataset, start, start + step)


def open_file(path: Path, content: IO[bytes] | None = None) -> Any:
    """An h5py File of the path, or of its content, read-only. DatasetError when it is not HDF5."""
    import h5py

    try:
        return h5py.File(content or path, "r", rdcc_nbytes=32 * 2**20)
    except (OSError, ValueError, RuntimeError) as error:
        raise DatasetError(f"{path}: not a readable HDF5 file: {reason(error)}") from None


def reason(error: Exception) -> str:
    """The message of HDF5, without its stack."""
    return first_line(error, 200)


def names_of(file: Any, path: Path) -> list[str]:
    """All datasets reached by hard links, and the names of other links. Raises DatasetError."""
    names: list[str] = []
    try:
        _collect(file, "", 0, set(), names)
    except (KeyError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise DatasetError(f"{path}: cannot be read: {reason(error)}") from None
    return names


def read_rows(path: Path, dataset: Any, start: int, stop: int) -> Array:
    """Rows start to stop. Raises DatasetError when the file is damaged."""
    try:
        rows: Array = dataset[start:stop]
        return rows
    except (OSError, ValueError, RuntimeError) as error:
        raise DatasetError(f"{path}:{dataset.name}: cannot be read: {reason(error)}") from None


def open_dataset(file: Any, path: Path, name: str, max_bytes: int) -> Any:
    """The dataset `name`, after every check of this module. Raises DatasetError."""
    place = f"{path}:{name}"
    try:
        dataset, field = _follow(file, path, name)
        check_storage(place, dataset)
        dataset = view(place, dataset, field, is_matlab=path.suffix.lower() == ".mat")
        header = check_header(place, Header(tuple(dataset.shape), dataset.dtype), max_bytes)
        check_expansion(place, header.nbytes, stored_bytes(dataset, file))
        _check_chunks(place, dataset, header)
    except (KeyError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise DatasetError(f"{place}: cannot be read: {reason(error)}") from None
    return dataset


def _check_chunks(place: str, dataset: Any, header: Header) -> None:
    """Refuse chunks so tall that one row takes the decompression of most of the array."""
    if not dataset.chunks:
        return
    rows = min(dataset.chunks[0], header.shape[0])
    slab_bytes = rows * max(1, header.nbytes // max(1, header.shape[0]))
    if max(prod(dataset.chunks) * header.dtype.itemsize, slab_bytes) > MAX_CHUNK_BYTES:
        raise DatasetError(
            f"{place}: has chunks of shape {dataset.chunks}, so that rows are read"
            f" {slab_bytes:,} bytes at a time, above {MAX_CHUNK_BYTES:,}; store it with smaller"
            " chunks that hold whole rows, such as chunks=True of h5py"
        )


def _follow(file: Any, path: Path, name: str) -> tuple[Any, str]:
    """The h5py dataset of that name, and the field of it that the rest of the name tells."""
    import h5py

    item = file
    parts = name.split("/")
    for depth, part in enumerate(parts):
        if isinstance(item, h5py.Dataset) and item.dtype.names:
            return item, "/".join(parts[depth:])
        is_name = bool(part) and "\0" not in part  # at which HDF5 would end it
        # get_link_info looks at the link without following it.
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and is_name else None
        if link is None:
            raise missing(str(path), name, names_of(file, path))
        if not isinstance(link, h5py.HardLink):
            raise DatasetError(
                f"{path}:{name}: {part!r} is {link_words(link)}, which is refused; store the"
                " array itself in the file"
            )
        item = item[part]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise DatasetError(f"{path}:{name}: is not an array; name one of the arrays inside it")
    return item, ""


def link_words(link: Any) -> str:
    """What kind of link it is, for a message."""
    import h5py

    if isinstance(link, h5py.ExternalLink):
        return f"an external link to {link.filename}"
    return "a soft link" if isinstance(link, h5py.SoftLink) else "an unknown kind of link"


def check_storage(place: str, dataset: Any) -> None:
    """Refuse bytes kept in another file, and foreign filters. Raises DatasetError."""
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() > 0:
        raise DatasetError(
            f"{place}: keeps its bytes in another file (external storage), which is refused;"
            " store the array itself in the file"
        )
    if dataset.is_virtual:
        raise DatasetError(
            f"{place}: is a virtual dataset made of other files, which is refused; store the"
            " array itself in the file"
        )
    for index in range(properties.get_nfilters()):
        code, name = properties.get_filter(index)[0], properties.get_filter(index)[3]
        if code not in FILTERS:
            shown = name.decode(errors="replace") if isinstance(name, bytes) else name
            raise DatasetError(
                f"{place}: uses the filter {code} ({shown}); only"
                f" {', '.join(FILTERS.values())} are read, compress with gzip or lzf"
            )


def _collect(group: Any, prefix: str, depth: int, seen: set[int], names: list[str]) -> None:
    """Names of datasets below a group. A hard link back to a parent group is not walked again.

    `seen` has the addresses of earlier groups. Raises ValueError for a group of too many objects.
    """
    import h5py

    address = h5py.h5o.get_info(group.id).addr
    if depth > MAX_DEPTH or address in seen:
        return
    seen.add(address)
    if len(group) > MAX_NAMES:  # before h5py lists them all
        raise ValueError(
            f"its group /{prefix} contains {len(group):,} objects, at most {MAX_NAMES:,}"
            f" are read; put"
            " them into one array"
        )
    for key in group:
        if max(len(names), len(seen)) >= MAX_NAMES:
            return
        link = group.get(key, getlink=True)
        name = f"{prefix}{key}"
        if not isinstance(link, h5py.HardLink):
            names.append(name)  # listed, and refused with its reason once it is asked for
            continue
        item = group[key]
        if isinstance(item, h5py.Group):
            _collect(item, f"{name}/", depth + 1, seen, names)
        else:
            names += [f"{name}/{field}" for field in item.dtype.names or ()] or [name]


def _one_name(path: Path, leaf: Leaf) -> str:
    if isinstance(leaf, str):
        return leaf
    raise DatasetError(
        f"{path}: {list(leaf)} names several arrays where one is wanted; only the columns of a"
        " table can be put side by side"
    )

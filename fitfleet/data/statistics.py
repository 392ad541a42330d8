"""NaN count, minimum and maximum of arrays, remembered by the content of the file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.fingerprint import read_json, write_json
from fitfleet.data.formats.source import Array, Leaf, Source
from fitfleet.data.info import ArrayInfo


def array_infos(
    source: Source, leaves: Iterable[Leaf], fingerprint: str, cache: Path
) -> dict[Leaf, ArrayInfo]:
    """An ArrayInfo for each leaf. An array is read through once, ever, on this machine."""
    entry = cache / "statistics" / f"{fingerprint}.json"
    known = read_json(entry) or {}
    found: dict[Leaf, ArrayInfo] = {}
    is_new = False
    for leaf in leaves:
        header = source.header(leaf)  # always: these are the checks of an untrusted file
        key = json.dumps(leaf)
        if key not in known:
            info = ArrayInfo(header.shape, str(header.loaded_dtype), *_scan(source.blocks(leaf)))
            known[key], is_new = asdict(info), True
        found[leaf] = _from_json(known[key])
    if is_new:
        write_json(entry, known)
    return found


def _from_json(value: dict[str, Any]) -> ArrayInfo:
    return ArrayInfo(**{**value, "shape": tuple(value["shape"])})


def _scan(blocks: Iterable[Array]) -> tuple[int, float | None, float | None]:
    nan_count = 0
    minimum: float | None = None
    maximum: float | None = None
    for block in blocks:
        if block.size == 0:
            continue
        # fmin and fmax pass over NaN, and give NaN only where there is nothing else.
        low = float(np.fmin.reduce(block, axis=None))
        high = float(np.fmax.reduce(block, axis=None))
        if block.dtype.kind == "f":
            nan_count += int(np.count_nonzero(np.isnan(block)))
        if low == low:
            minimum = low if minimum is None else min(minimum, low)
            maximum = high if maximum is None else max(maximum, high)
    return nan_count, minimum, maximum

"""Code for workers is signed with a key in the storage.

Write access to the database alone must not suffice to make a worker run code.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress

from fitfleet.errors import StorageError
from fitfleet.objects import small_files
from fitfleet.settings import Settings

_NAME = ".code-key"
_BYTES = 32


def sign(sha256: str, settings: Settings) -> str | None:
    """The signature of a snapshot; None if the storage is not on this machine."""
    key = _read(settings) or _create(settings)
    return None if key is None else _signature(key, sha256)


def is_signed(sha256: str, signature: str | None, settings: Settings) -> bool:
    """Whether the snapshot is signed with the key of this storage."""
    key = _read(settings)
    if key is None or signature is None:
        return False
    return hmac.compare_digest(_signature(key, sha256), signature)


def _signature(key: bytes, sha256: str) -> str:
    return hmac.new(key, sha256.encode(), hashlib.sha256).hexdigest()


def _read(settings: Settings) -> bytes | None:
    try:
        key = small_files.read(settings, _NAME)
    except StorageError:
        return None
    return key if key is not None and len(key) == _BYTES else None


def _create(settings: Settings) -> bytes | None:
    """Create the key, unless another process has just done so."""
    with suppress(StorageError):
        small_files.create(settings, _NAME, secrets.token_bytes(_BYTES), 0o600)
    return _read(settings)

"""Loading PostgreSQL's driver beside TensorFlow."""

from __future__ import annotations

import importlib
import os
import sys


def load_driver() -> None:
    """Import psycopg so that it keeps to the OpenSSL that it brings along.

    TensorFlow holds BoringSSL under the same names. A driver that is loaded after it would call
    that one, and end the process in its first TLS handshake. ModuleNotFoundError without psycopg.
    """
    if "psycopg" in sys.modules:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))  # macOS binds like this anyway
    try:
        importlib.import_module("psycopg")
    finally:
        sys.setdlopenflags(flags)

"""The one JSON text of a document, which is stored, compared and hashed."""

from __future__ import annotations

import json
from typing import Any


def canonical_json(document: Any) -> str:
    """Sorted keys, no blanks: equal documents have equal texts."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))

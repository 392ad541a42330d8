"""The lineage of population-based training as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fitfleet.db.schema.lineage_views import COLUMNS

if TYPE_CHECKING:
    import pandas as pd


def lineage_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row a member of a generation, with the columns of the view `lineage`; None for its NULL."""
    import pandas as pd

    names = [name for name, _, _ in COLUMNS["lineage"]]
    return pd.DataFrame(rows, columns=names, dtype=object)

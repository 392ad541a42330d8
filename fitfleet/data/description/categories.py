"""Which columns of a table are text, and the words that stand for 0, 1, 2, ... in them."""

from __future__ import annotations

from typing import Any, Protocol

from fitfleet.data.formats import TableOptions
from fitfleet.data.info import map_role
from fitfleet.errors import DatasetError
from fitfleet.spec.job import DatasetSpec

_LABELS = ("y", "y_val", "y_test")


class _Words(Protocol):
    def words(self, columns: list[str], *, only_text: bool) -> dict[str, list[str] | None]: ...


def options_of(dataset: DatasetSpec) -> TableOptions:
    """The options of tables in a dataset. Columns without given categories are left out."""
    given = dataset.categories if isinstance(dataset.categories, dict) else {}
    return TableOptions(
        delimiter=dataset.delimiter or "",
        decimal=dataset.decimal,
        missing=tuple(dataset.missing),
        categories={name: tuple(words) for name, words in sorted(given.items()) if words},
        texts=tuple(dataset.texts),
    )


def with_words(dataset: DatasetSpec, inspection: _Words) -> DatasetSpec:
    """The dataset with the categories of every column of text that it names, and of text labels.

    Labels that are words, none of them a number, become class numbers in alphabetical order. The
    categories are written to `categories`, so that the job keeps its mapping. Raises DatasetError
    for a label that is missing.
    """
    given = dataset.categories
    categories = dict(given) if isinstance(given, dict) else {name: [] for name in given}
    unlisted = [name for name, words in categories.items() if not words]
    categories |= _of_text(inspection.words(unlisted, only_text=False))
    labels = [name for name in _label_columns(dataset) if name not in categories]
    if dataset.windows is not None and dataset.windows.series:
        labels.append(dataset.windows.series)
    categories |= _of_text(inspection.words(labels, only_text=True))
    for name in _label_columns(dataset):
        if "" in categories.get(name, ()):
            raise DatasetError(
                f"{dataset.path}: labels are missing in column {name!r}; leave out these rows, or"
                " give them a class of their own"
            )
    return dataset.model_copy(update={"categories": categories})


def _of_text(words: dict[str, list[str] | None]) -> dict[str, list[str]]:
    return {name: texts for name, texts in words.items() if texts is not None}


def _label_columns(dataset: DatasetSpec) -> list[str]:
    """The columns that are labels by themselves."""
    names: list[str] = []

    def keep(leaf: Any) -> None:
        names.extend([leaf] if isinstance(leaf, str) else leaf if len(leaf) == 1 else [])

    for role in _LABELS:
        map_role(getattr(dataset, role), True, keep)
    return list(dict.fromkeys(names))

"""The names of Keras's classes, from signatures.json, which is generated from Keras.

Kinds are `layers`, `losses`, `metrics`, `optimizers`, `schedules`, `initializers`,
`regularizers`, `constraints` and `callbacks`. A class that is not in the table is refused, and so
is an operator (`keras.ops`) that is not.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULES = {
    "layers": "keras.layers",
    "losses": "keras.losses",
    "metrics": "keras.metrics",
    "optimizers": "keras.optimizers",
    "schedules": "keras.optimizers.schedules",
    "initializers": "keras.initializers",
    "regularizers": "keras.regularizers",
    "constraints": "keras.constraints",
    "callbacks": "keras.callbacks",
}
KINDS = {module: kind for kind, module in MODULES.items()}

# Keras accepts these for every object of the kind, whatever its signature is.
_EVERYWHERE = {
    "layers": ("name", "dtype", "trainable", "activity_regularizer"),
    "losses": ("name", "dtype", "reduction"),
    "metrics": ("name", "dtype"),
    "optimizers": ("name",),
    "schedules": ("name",),
}


@dataclass(frozen=True)
class Signature:
    """The arguments of a Keras class, in order, and the defaults of its config.

    `needed` are those of the defaults that Keras requires to create the object from a config.
    """

    kind: str
    name: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    defaults: dict[str, Any]
    needed: tuple[str, ...] = ()
    module: str = ""

    @property
    def known(self) -> frozenset[str]:
        """Every argument that a config of this class may have."""
        more = _EVERYWHERE.get(self.kind, ())
        return frozenset((*self.arguments, *self.defaults, *more))


@functools.cache
def _table() -> dict[str, Any]:
    text = Path(__file__).with_name("signatures.json").read_text()
    table: dict[str, Any] = json.loads(text)
    return table


@functools.cache
def signature(kind: str, name: str) -> Signature | None:
    """The signature of a class, by its name; None if it is not allowed."""
    row = _table()[kind].get(name)
    if row is None:
        return None
    arguments, required = tuple(row["arguments"]), tuple(row["required"])
    module, needed = row.get("module", MODULES[kind]), tuple(row.get("needed", ()))
    return Signature(kind, name, arguments, required, row["defaults"], needed, module)


def operation(module: str, name: str) -> dict[str, Any] | None:
    """`{"arguments", "rule"}` of an operator, by its module and class; None when not allowed."""
    row: dict[str, Any] | None = _table()["operations"].get(module, {}).get(name)
    return row


@functools.cache
def operators() -> frozenset[str]:
    """Names of all allowed operators as functions of `keras.ops`: sin, one_hot."""
    rows = [name for names in _table()["operations"].values() for name in names]
    return frozenset(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in rows)


@functools.cache
def class_name(kind: str, identifier: str) -> str | None:
    """The class that Keras means by an identifier: `adam` → `Adam`; None when unknown."""
    if identifier in _table()[kind]:
        return identifier
    aliases = _table()["aliases"][kind]
    name_in_keras = aliases.get(identifier)
    if name_in_keras is None and kind == "optimizers":  # Keras looks optimizers up in lower case
        name_in_keras = {name.lower(): name for name in _table()[kind]}.get(identifier.lower())
    return str(name_in_keras) if name_in_keras is not None else None


@functools.cache
def function_name(kind: str, identifier: str) -> str | None:
    """The canonical name of a loss, metric or activation function: `mse` → `mean_squared_error`."""
    name_in_keras = _table()["functions"][kind].get(identifier)
    return str(name_in_keras) if name_in_keras is not None else None


def class_names(kind: str) -> list[str]:
    """Names of all allowed classes of a kind."""
    return list(_table()[kind])


def identifiers(kind: str) -> list[str]:
    """All identifiers of this kind: classes, their aliases, functions."""
    table = _table()
    return [
        *table.get(kind, ()),
        *table["aliases"].get(kind, ()),
        *table["functions"].get(kind, ()),
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest ones, or all if there are few."""
    known = sorted(set(known))
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)
    if near:
        return f"did you mean {', '.join(lower[n] for n in near)}?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known are {shown}" if known else "there are none"

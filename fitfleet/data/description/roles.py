"""Which arrays are x, y, x_val, ...: roles without a name are searched for in the file."""

from __future__ import annotations

from typing import Any, Literal

from fitfleet.data.info import DatasetInfo, Role, Structure, flatten, map_structure
from fitfleet.errors import DatasetError
from fitfleet.spec.job import DatasetSpec

# The default names, in the order of preference.
X = ("x_train", "X_train", "x", "X")
Y = ("y_train", "Y_train", "y", "Y")
OPTIONAL = {
    "x_val": ("x_val", "X_val"),
    "y_val": ("y_val", "Y_val"),
    "x_test": ("x_test", "X_test"),
    "y_test": ("y_test", "Y_test"),
    "sample_weight": ("sample_weight_train", "sample_weight"),
    "sample_weight_val": ("sample_weight_val",),
}


def resolve(dataset: DatasetSpec, names: list[str]) -> DatasetSpec:
    """The dataset with its default names replaced by arrays that the file has.

    A name counts as default by its value, since a spec from the database has every field set. Each
    role is searched for independently, so that naming x drops neither weights nor validation;
    `False` means that there is none. Validation arrays are searched for only when no fold gives
    the validation rows. Raises DatasetError that lists the arrays of the file.
    """
    changes: dict[str, Any] = {}
    if dataset.x == DatasetSpec.model_fields["x"].default:
        changes["x"] = _required(dataset, "x", X, names)
    if dataset.y == DatasetSpec.model_fields["y"].default:
        y = _first(Y, names)
        if y is None and dataset.windows is not None:
            y = changes.get("x", dataset.x)  # a series is its own target
        changes["y"] = y if y is not None else _required(dataset, "y", Y, names)
    named = dataset.model_copy(update=changes)
    return named.model_copy(update=_optional(named, names))


def _optional(dataset: DatasetSpec, names: list[str]) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    taken = {name for role in ("x", "y") for name in flatten(getattr(dataset, role))}
    for role in OPTIONAL:
        arrays = _optional_arrays(dataset, role, names, taken)
        if getattr(dataset, role) is False and arrays is None:
            roles[role] = None  # the file has none: the same spec as without False, so the same job
        if getattr(dataset, role) is not None or (dataset.fold and role.endswith("_val")):
            continue
        if role.startswith(("y_", "sample_weight_")):  # used only with their inputs
            part = "x_" + role.rpartition("_")[2]
            if not (roles.get(part) or getattr(dataset, part)):
                continue
        if arrays is not None:
            roles[role] = arrays
    return roles


def misfits(named: DatasetSpec, info: DatasetInfo) -> tuple[dict[str, Literal[False]], list[str]]:
    """Roles of `resolve` to leave out, as `False`, and a warning about each part.

    If the user named x or y, then validation and test arrays that `resolve` took only because of
    their default names must have rows like those of x and y: with others the fit would fail.
    """
    left_out: dict[str, Literal[False]] = {}
    warnings = []
    for part in ("val", "test"):
        roles = [role for role in OPTIONAL if role.endswith(f"_{part}")]
        if any(getattr(named, role) for role in roles):
            continue
        for base in ("x", "y"):
            role = f"{base}_{part}"
            name = getattr(info.dataset, role)
            is_named = getattr(named, base) != DatasetSpec.model_fields[base].default
            if not is_named or name not in OPTIONAL[role] or _are_alike(info, base, role):
                continue
            left_out |= dict.fromkeys(roles, False)
            warnings.append(
                f"dataset.{role}: the file's {name!r} is left out, as its rows are unlike those"
                f" of {base}={_shown(getattr(named, base))}; name the {_PARTS[part]} arrays, or say"
                f" x_{part}=False"
            )
            break
    return left_out, warnings


_PARTS = {"val": "validation", "test": "test"}


def _are_alike(info: DatasetInfo, base: str, role: str) -> bool:
    """Whether both have as many arrays, of as many dimensions and features; steps may differ."""
    return _row_shapes(getattr(info, base)) == _row_shapes(getattr(info, role))


def _row_shapes(structure: Structure) -> list[tuple[int, tuple[int, ...]]]:
    """(dimensions, features) of each array's rows; Keras takes (n, 1) for (n,)."""
    shapes = []
    for array in flatten(structure):
        shape = array.shape[1:]
        shape = shape[:-1] if shape[-1:] == (1,) else shape
        shapes.append((len(shape), shape[-1:]))
    return shapes


def _shown(role: Role) -> str:
    text = repr(role)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _optional_arrays(dataset: DatasetSpec, role: str, names: list[str], taken: set[str]) -> Role:
    """The arrays of an optional role: named like those of training, or by a default name."""
    part, _, place = role.rpartition("_")
    if place in ("val", "test") and part in ("x", "y"):
        pattern = map_structure(getattr(dataset, part), lambda name: _name_in_part(name, place))
        if pattern and set(flatten(pattern)) <= set(names):
            return pattern  # type: ignore[no-any-return]
    return _first(OPTIONAL[role], [name for name in names if name not in taken])


def _name_in_part(name: str, place: str) -> str:
    """`images` → `images_val`, `images_train` → `images_val`."""
    return f"{name.removesuffix('_train')}_{place}"


def _required(
    dataset: DatasetSpec, role: str, candidates: tuple[str, ...], names: list[str]
) -> str:
    name = _first(candidates, names)
    if name is not None:
        return name
    shown = ", ".join(sorted(names)[:20]) or "no arrays at all"
    raise DatasetError(
        f"{dataset.path or 'dataset.files'}: none of {', '.join(candidates)} is in it to be"
        f" {role}; it contains {shown}; name it: Dataset(path, {role}=...)"
        + (", or y=None for a model that adds its losses itself" if role == "y" else "")
    )


def _first(candidates: tuple[str, ...], names: list[str]) -> str | None:
    return next((name for name in candidates if name in names), None)

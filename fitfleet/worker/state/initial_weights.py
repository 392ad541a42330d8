"""The weights that a fit starts from, where they are not drawn by its seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.adapted_layers import States
from fitfleet.spec.job import JobSpec
from fitfleet.storage import DOCUMENT, Storage
from fitfleet.weights.files import checked, document_of, opened
from fitfleet.worker.keras_private import saving_lib
from fitfleet.worker.recording.error_text import explanation

_SHOWN = 8


def begin(model: Any, spec: JobSpec, settings: Settings) -> None:
    """Give an untrained model the weights and the frozen layers of its spec.

    SpecError when the file belongs to another model, StorageError when it cannot be read.
    """
    freeze(model, spec.freeze)
    if spec.initial_weights is None:
        return
    path = _file(spec, settings)
    if spec.initial_weights.match == "names":
        model.initial_weights_report = by_names(model, path, settings)
        print(model.initial_weights_report, flush=True)
    elif spec.initial_weights.form == "legacy":
        _load_legacy(model, path, settings)
    else:
        load_state(model, path, "initial_weights")


def begin_optimizer(model: Any, spec: JobSpec, settings: Settings) -> None:
    """Give a compiled model the optimizer's state of the file, where the spec wants that."""
    if spec.initial_weights is None or not spec.initial_weights.optimizer:
        return
    model.optimizer.build(model.trainable_variables)
    load_state(model, _file(spec, settings), "initial_weights")


def adapted_before(spec: JobSpec, settings: Settings) -> States:
    """What `adapt` found for layers of the job whose weights, all of them, this one starts from."""
    if spec.initial_weights is None or spec.initial_weights.match != "all":
        return {}
    with opened(_file(spec, settings), settings) as file:
        states: States = document_of(file).get("adapted") or {} if DOCUMENT in file else {}
    return states


def freeze(model: Any, patterns: list[str]) -> None:
    """Layers with these names, and all inside them, are not trained."""
    for pattern in patterns:
        matching = [
            candidate for candidate in _layers(model) if fnmatchcase(candidate.name, pattern)
        ]
        if not matching:
            names = ", ".join(candidate.name for candidate in model.layers[:_SHOWN])
            raise SpecError("freeze", f"no layer is called {pattern!r}; there are {names}")
        for layer in matching:
            layer.trainable = False


def load_state(model: Any, path: Path, place: str) -> None:
    """What `load_weights` does, for a model that need not have been called.

    SpecError when the file lacks weights of the model, or has others.
    """
    store = saving_lib.H5IOStore(path, mode="r")
    try:
        failures = _load(model, store)
    finally:
        store.close()
    if failures:
        owner, error = next(iter(failures.values()))
        name = getattr(owner, "name", type(owner).__name__)
        raise SpecError(place, f"the file is of another model: {name}: {explanation(error)}")


def _load(model: Any, store: Any) -> dict[int, tuple[Any, Exception]]:
    """Load what the store has; (object, error) of all that it could not give."""
    failures: dict[int, tuple[Any, Exception]] = {}
    saving_lib._load_state(
        model,
        weights_store=store,
        assets_store=None,
        inner_path="",
        visited_saveables=_of_arguments(model),
        failed_saveables=set(),
        error_msgs=failures,
    )
    return failures


def _of_arguments(model: Any) -> set[int]:
    """Layers whose state is in their arguments, whatever a file has for them."""
    import keras

    return {
        id(layer)
        for layer in _layers(model)
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None
    }


def by_names(model: Any, path: Path, settings: Settings) -> str:
    """Take the weights of every layer that the file has by name and shape; what fitted, in words.

    SpecError when there is none.
    """
    with opened(path, settings) as file:
        known = {_named_path(place, entry.names): entry for place, entry in _groups(file).items()}
        chosen: dict[str, Any] = {}
        absent, other = [], []
        names, wanted = _wanted(model)
        for place, shapes in wanted.items():
            name = _named_path(place, names)
            entry = known.get(name)
            if entry is None:
                absent.append(name)
            elif entry.shapes != shapes:
                other.append(f"{name} {_shapes(entry.shapes)} instead of {_shapes(shapes)}")
            else:
                chosen[place] = entry.group
        _load(model, _Chosen(chosen))
    parts = [f"weights of {len(chosen)} layers were loaded"]
    parts += [f"not there: {_list(absent)}"] if absent else []
    parts += [f"of other shapes: {_list(other)}"] if other else []
    if not chosen:
        raise SpecError("init_from", f"no layer matches; {'; '.join(parts[1:])}")
    return "; ".join(parts)


class _Wanted(saving_lib.H5IOStore):  # type: ignore[misc]
    """Keras's store, which notes the name and the shapes of each entry and keeps nothing."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.shapes: dict[str, dict[str, tuple[int, ...]]] = {}

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Any = None) -> Any:
        """The entry at a path."""
        self._now = self.shapes.setdefault(path, {})
        if metadata:
            self.names[path] = metadata["name"]
        return self

    def __setitem__(self, key: str, value: Any) -> None:
        self._now[key] = tuple(value.shape)


class _Chosen(saving_lib.H5IOStore):  # type: ignore[misc]
    """Keras's store over the entries that were chosen, by the path of the model's own."""

    def __init__(self, groups: Mapping[str, Any]) -> None:
        self._groups = groups
        self._h5_entry_initialized = True

    def __bool__(self) -> bool:
        return True

    def get(self, path: str) -> Any:
        """The entry at a path, empty where none was chosen."""
        self._h5_entry_group = self._groups.get(path, {})
        return self

    def has_path(self, path: str) -> bool:
        """Called by Keras to find files of its older format."""
        return True


def _wanted(model: Any) -> tuple[dict[str, str], dict[str, dict[str, tuple[int, ...]]]]:
    """By path in a weights file: names, and shapes by key of all that has weights of its own."""
    store = _Wanted()
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    shapes = {
        place: shapes
        for place, shapes in store.shapes.items()
        if shapes and "seed_generator" not in place
    }
    return store.names, shapes


@dataclass(frozen=True)
class _Entry:
    """An entry of a weights file; `names` of all entries, by path."""

    group: Any
    shapes: dict[str, tuple[int, ...]]
    names: Mapping[str, str]


def _groups(file: Any) -> dict[str, _Entry]:
    """Path -> entry of a Keras weights file."""
    import h5py

    names: dict[str, str] = {}
    entries: dict[str, _Entry] = {}

    def visit(path: str, item: Any) -> None:
        place, _, last = path.rpartition("/")
        if not isinstance(item, h5py.Group) or last != "vars":
            return
        name = item.attrs.get("name")
        if isinstance(name, str):
            names[place] = name
        if len(item):
            entries[place] = _Entry(item, {key: tuple(item[key].shape) for key in item}, names)

    file.visititems(visit)
    return entries


def _named_path(place: str, names: Mapping[str, str]) -> str:
    """The path with the names of a model's layers in it, which other models may have as well.

    Keras's own `layers/dense_1` counts the layers of a class; names inside a layer are made up.
    """
    parts = place.split("/")
    shown = []
    for index, part in enumerate(parts):
        if part == "layers":
            continue
        is_layer = index > 0 and parts[index - 1] == "layers"
        shown.append(names.get("/".join(parts[: index + 1]), part) if is_layer else part)
    return "/".join(shown)


def _load_legacy(model: Any, path: Path, settings: Settings) -> None:
    from fitfleet.worker.keras_private import load_weights_from_hdf5_group

    with opened(path, settings) as file:
        try:
            load_weights_from_hdf5_group(file, model)
        except (ValueError, KeyError) as error:
            raise SpecError(
                "initial_weights", f"the file is of another model: {explanation(error)}"
            ) from error


def _file(spec: JobSpec, settings: Settings) -> Path:
    assert spec.initial_weights is not None
    storage, digest = Storage.of(settings), spec.initial_weights.sha256
    return checked(storage.local(storage.initial(digest), digest), settings, digest)


def _layers(model: Any) -> Iterator[Any]:
    return (layer for layer in model._flatten_layers(include_self=False))


def _shapes(shapes: Mapping[str, Any]) -> str:
    return " ".join("x".join(map(str, shape)) or "()" for shape in shapes.values())


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

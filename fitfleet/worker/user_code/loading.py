"""The user's code in this process: the snapshot of one job at a time, and nothing else of his.

Another snapshot takes its place: its modules are forgotten and the classes that they registered
with Keras with them, so two versions of a module never mix. What a module changes in others
(a patched Keras) stays.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fitfleet.db.session import Database
from fitfleet.db.specs import code as code_table
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.collect import collect
from fitfleet.spec.code.names import SCRIPT, Named, named
from fitfleet.spec.code.signing_key import is_signed
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobSpec
from fitfleet.spec.module_trust import is_trusted
from fitfleet.worker.user_code import name_counts

# Under its own name the script would be the process itself.
_SCRIPT_MODULE = "fitfleet_script"


class _Loaded:
    """Which snapshot this process has loaded. Modules are a process's own, so this is, too."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.folder = ""
        self.path: list[str] = []  # sys.path as it was before
        self.registered: dict[str, Any] = {}


_loaded = _Loaded()


def use(spec: JobSpec, database: Database, settings: Settings) -> Settings:
    """Make ready the code that a job was submitted with; the settings that trust it.

    SpecError if it is missing or damaged, or if nobody vouches for it. Code of modules that this
    worker does not trust is not loaded, and the check of the specification refuses the job.
    """
    names = named(spec)
    if not names:
        _forget()
        return settings
    snapshot = _snapshot(spec, names, database, settings)
    if snapshot is None:  # installed on this worker, if anything
        _forget()
        return settings
    if _loaded.snapshot is None or _loaded.snapshot.sha256 != snapshot.sha256:
        _forget()
        _load(snapshot, settings)
    modules = {reference.module for reference in names if snapshot.holds(reference.module)}
    return settings.replace(trusted_modules=(*settings.trusted_modules, *sorted(modules)))


def holds(module: str) -> bool:
    """Whether the module belongs to the code that is loaded, which is trusted."""
    return _loaded.snapshot is not None and _loaded.snapshot.holds(module)


def _snapshot(
    spec: JobSpec, names: Sequence[Named], database: Database, settings: Settings
) -> Snapshot | None:
    is_trusting = all(is_trusted(reference.module, settings) for reference in names)
    if not is_trusting and settings.code_trust != "scripts":
        return None  # the check of the specification says so
    local = _own_copy(names, settings) if is_trusting else None
    if spec.code is None:
        return local
    if local is not None and local.sha256 == spec.code:
        return local
    with database.read() as c:
        stored = code_table.read(c, spec.code)
    if stored is None:
        raise SpecError("code", "the job's code is not in the database any more; submit it again")
    snapshot = Snapshot.from_archive(stored.archive)
    if snapshot.sha256 != spec.code:
        raise SpecError("code", "the stored code is not what the job was submitted with")
    if not is_signed(spec.code, stored.signature, settings):
        raise SpecError(
            "code",
            "it is not signed with the key of this worker's storage, and the worker's own copy of"
            f" {', '.join(sorted({reference.module for reference in names}))} is another;"
            " submit it where the"
            " storage is shared, or bring the copies into agreement",
        )
    return snapshot


def _own_copy(names: Sequence[Named], settings: Settings) -> Snapshot | None:
    """What this worker has itself of the modules."""
    try:
        return collect(names, settings, with_script=False)
    except SpecError:
        return None


def _load(snapshot: Snapshot, settings: Settings) -> None:
    import keras

    folder = _laid_out(snapshot, Path(settings.cache))
    _loaded.folder, _loaded.path = str(folder), list(sys.path)
    tops = {path.partition("/")[0].removesuffix(".py") for path in snapshot.files}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops - {SCRIPT}]:
        del sys.modules[name]
    hidden = {*settings.module_path, "", os.getcwd()}
    sys.path[:] = [str(folder), *(place for place in sys.path if place not in hidden)]
    importlib.invalidate_caches()
    _loaded.registered = dict(keras.saving.get_custom_objects())
    _loaded.snapshot = snapshot


def _laid_out(snapshot: Snapshot, cache: Path) -> Path:
    """The snapshot as files of this machine, whole from the start."""
    folder = cache.absolute() / "code" / snapshot.sha256
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
        try:
            snapshot.write(draft)
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been quicker
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def _forget() -> None:
    """Unload the snapshot: its modules, its place on sys.path, its classes in Keras."""
    if _loaded.snapshot is None:
        return
    import keras

    for name, module in list(sys.modules.items()):
        if name == _SCRIPT_MODULE or _place(module).startswith(_loaded.folder):
            del sys.modules[name]
    sys.path[:] = _loaded.path
    importlib.invalidate_caches()
    registered = keras.saving.get_custom_objects()
    registered.clear()
    registered.update(_loaded.registered)
    _loaded.snapshot = None


def _place(module: ModuleType | None) -> str:
    """The file of a module, or the folder of a package without one."""
    try:
        return str(getattr(module, "__file__", None) or next(iter(module.__path__)))  # type: ignore
    except Exception:  # some modules raise what they like on any attribute
        return ""


def module(name: str) -> ModuleType:
    """A module of the loaded code, imported. Raises whatever it raises."""
    if name != SCRIPT:
        with name_counts.importing(name):
            return importlib.import_module(name)
    loaded = sys.modules.get(_SCRIPT_MODULE)
    if loaded is not None:
        return loaded
    with name_counts.importing(_SCRIPT_MODULE):
        return _script()


def _script() -> ModuleType:
    path = Path(_loaded.folder) / f"{SCRIPT}.py"
    location = importlib.util.spec_from_file_location(_SCRIPT_MODULE, path)
    assert location is not None and location.loader is not None
    script = importlib.util.module_from_spec(location)
    sys.modules[_SCRIPT_MODULE] = script
    try:
        location.loader.exec_module(script)
    except BaseException:
        del sys.modules[_SCRIPT_MODULE]
        raise
    return script


@contextmanager
def borrowed(spec: JobSpec, database: Database, settings: Settings) -> Iterator[Settings]:
    """The same for a script that loads a model: afterwards it has its own modules again."""
    before = dict(sys.modules)
    names = {reference.module.partition(".")[0] for reference in named(spec)}
    for name in list(sys.modules):
        if name.partition(".")[0] in names - {SCRIPT}:
            del sys.modules[name]
    try:
        yield use(spec, database, settings)
    finally:
        _forget()
        sys.modules.update(before)

"""The user's code: what of it goes with a job, by which names, and who vouches for it."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import keras
import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.collect import check_inside, collect, paths_of
from fitfleet.spec.code.names import Named, named_in
from fitfleet.spec.code.script import script_source
from fitfleet.spec.code.signing_key import is_signed, sign
from fitfleet.spec.code.snapshot import MAX_BYTES, Snapshot
from fitfleet.spec.keras_objects.object_documents import activation, to_document
from fitfleet.spec.parts.callbacks import callbacks
from fitfleet.spec.parts.compile import losses, metrics


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A folder with modules that import each other."""
    folder = tmp_path / "project"
    files = {
        "own_losses.py": "import numpy\nfrom own_parts.scales import FACTOR\ndef halved(y, p): ...",
        "own_parts/__init__.py": "from . import words",
        "own_parts/words.py": "def lazily():\n    import own_late",
        "own_parts/scales.py": "FACTOR = 0.5",
        "own_parts/unused.py": "",
        "own_late.py": "from keras import ops",
        "own_broken.py": "x = 1\ndef (",
        "own_data/vocabulary.txt": "a b",
        "own_data/.hidden": "",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.chdir(folder)
    return Settings(storage=str(tmp_path / "storage"), module_path=(str(folder),))


def snapshot(settings: Settings, *more: str) -> Snapshot:
    collected = collect([Named("own_losses", "halved")], settings, more=more)
    assert collected is not None
    return collected


def test_a_module_comes_with_what_it_imports_of_the_user_and_nothing_else(
    settings: Settings,
) -> None:
    assert sorted(snapshot(settings).files) == [
        *("own_late.py", "own_losses.py", "own_parts/__init__.py"),
        *("own_parts/scales.py", "own_parts/words.py"),
    ]
    assert collect([Named("numpy", "mean"), Named("os", "system")], settings) is None


def test_the_hash_is_that_of_the_sources(settings: Settings) -> None:
    before = snapshot(settings).sha256
    assert snapshot(settings).sha256 == before
    Path("own_parts/unused.py").write_text("x = 1")
    assert snapshot(settings).sha256 == before
    Path("own_parts/scales.py").write_text("FACTOR = 0.25")
    assert snapshot(settings).sha256 != before


def test_files_and_folders_are_sent_along(settings: Settings) -> None:
    assert "own_data/vocabulary.txt" in snapshot(settings, "own_data").files
    assert "own_data/.hidden" not in snapshot(settings, "own_data").files
    assert "own_parts/unused.py" in snapshot(settings, "own_parts/unused.py").files
    with pytest.raises(SpecError, match=r"code: 'nowhere.py': no such file"):
        snapshot(settings, "nowhere.py")
    with pytest.raises(SpecError, match=r"own_broken.py line 2"):
        snapshot(settings, "own_broken.py")


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.py", "a/../../b"])
def test_a_job_file_brings_along_nothing_from_elsewhere(path: str) -> None:
    with pytest.raises(SpecError, match="does not lie in the working directory"):
        check_inside([path])


@pytest.mark.parametrize("given", [3, [3], {"a": 1}, [""], b"x"])
def test_code_is_a_list_of_paths(given: Any) -> None:
    with pytest.raises(SpecError, match="code: "):
        paths_of(given)


def test_an_archive_gives_the_snapshot_back(settings: Settings, tmp_path: Path) -> None:
    original = snapshot(settings)
    again = Snapshot.from_archive(original.to_archive())
    assert again == original and again.sha256 == original.sha256
    again.write(tmp_path / "out")
    assert (tmp_path / "out" / "own_parts" / "scales.py").read_text() == "FACTOR = 0.5"


@pytest.mark.parametrize("path", ["../out.py", "/out.py", "a/../../out.py", "a\\b.py"])
def test_no_archive_leads_out_of_its_folder(path: str) -> None:
    with pytest.raises(SpecError, match="is not a path inside"):
        Snapshot({path: b""})


def test_an_archive_is_bounded_and_whole() -> None:
    with pytest.raises(SpecError, match="a job carries at most"):
        Snapshot({"a.py": b" " * (MAX_BYTES + 1)})
    with pytest.raises(SpecError, match="damaged"):
        Snapshot.from_archive(b"no zip")
    good = Snapshot({"a.py": b"x = 1\n" * 100}).to_archive()
    with pytest.raises(SpecError, match="damaged"):
        Snapshot.from_archive(good[:40] + b"\0" * 8 + good[48:])


def test_only_who_shares_the_storage_can_sign(settings: Settings, tmp_path: Path) -> None:
    assert sign("a", settings) is None  # there is no storage yet
    Path(settings.storage).mkdir()
    signature = sign("a", settings)
    assert is_signed("a", signature, settings) and not is_signed("b", signature, settings)
    assert not is_signed("a", None, settings)
    (tmp_path / "other").mkdir()
    other = settings.replace(storage=str(tmp_path / "other"))
    assert not is_signed("a", signature, other)
    assert sign("a", other) != signature
    (key,) = Path(settings.storage).iterdir()
    assert key.stat().st_mode & 0o077 == 0


SCRIPT = """
from __future__ import annotations
import sys
import numpy as np
from os import path as place
with open(__file__) as context:
    RATE = 2.5
    def inside(x):
        return x * RATE
SHARED = {"a": [1, 2]}
array = np.ones(3)
model = "not this one"
def helper(x): return SHARED["a"][0] * x
class Base: scale = helper(1)
class Derived(Base):
    def call(self, model, x):
        import math
        return [helper(inside(i)) + len(array) for i in x]
def needs_context(x): return context.read()
def uses_file(x): return place.join(x)
unrelated = sys.exit
if False:
    sys.exit("the script must not run")
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """SCRIPT as the program that runs."""
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    exec(compile(SCRIPT, str(path), "exec"), vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main


def test_what_a_function_of_the_script_needs_goes_with_it(script: types.ModuleType) -> None:
    source = script_source(["Derived"])
    there: dict[str, Any] = {}
    exec(source, there)
    assert there["Derived"]().call(None, [1, 2]) == script.Derived().call(None, [1, 2])
    assert "model =" not in source and "exit" not in source and "open(" not in source
    assert script_source(["uses_file"]).splitlines()[-2:] == [
        "def uses_file(x):",
        "    return place.join(x)",
    ]


def test_the_rest_of_the_script_does_not_count(script: types.ModuleType) -> None:
    before = script_source(["helper"])
    Path(str(script.__file__)).write_text(SCRIPT.replace("not this one", "another"))
    assert script_source(["helper"]) == before
    script.SHARED = {"a": [3]}
    assert script_source(["helper"]) != before


def test_what_cannot_be_sent_is_named(script: types.ModuleType) -> None:
    with pytest.raises(SpecError, match=r"needs_context uses context of the script, a TextIOWr"):
        script_source(["needs_context"])
    with pytest.raises(SpecError, match="nothing is not defined at the top level"):
        script_source(["nothing"])


def test_the_cells_of_a_notebook_are_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    good = ["%matplotlib inline\nK = 1", "def f(x):\n    return K * x"]
    cells = ["", "def f(x): return", *good, "f("]
    main.In = cells  # type: ignore[attr-defined]
    exec("K = 1\ndef f(x):\n    return K * x", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert script_source(["f"]) == "K = 1\ndef f(x):\n    return K * x\n"


def own_activation(x: Any) -> Any:
    return x


class OwnLayer(keras.layers.Layer):  # type: ignore[misc]
    pass


@keras.saving.register_keras_serializable(package="tests")
def registered_regularizer(x: Any) -> Any:
    return 0.0


def test_everything_inside_a_model_has_its_module_and_a_name_for_keras() -> None:
    dense = keras.layers.Dense(
        2, activation=own_activation, kernel_regularizer=registered_regularizer
    )
    model = keras.Sequential([keras.Input((2,)), OwnLayer(), dense])
    names = {name.name: name for name in named_in(to_document(model, "model"))}
    assert names["own_activation"].registered == f"{__name__}>own_activation"
    assert names["OwnLayer"] == Named(__name__, "OwnLayer", f"{__name__}>OwnLayer")
    registered = names["registered_regularizer"]
    assert (registered.module, registered.registered) == (__name__, "tests>registered_regularizer")
    assert keras.saving.get_registered_name(OwnLayer) == "OwnLayer", "Keras is as it was"


@keras.saving.register_keras_serializable(package="tests")
def registered_loss(y: Any, p: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y - p), axis=-1)


@keras.saving.register_keras_serializable(package="tests")
class RegisteredLoss(keras.losses.Loss):  # type: ignore[misc]
    pass


def test_a_registered_name_is_as_good_as_what_it_names() -> None:
    """As in Keras's compile; a class is made with its defaults there."""
    assert losses("tests>registered_loss") == losses(registered_loss)
    assert metrics(["tests>registered_loss"]) == metrics([registered_loss])
    assert activation("tests>registered_loss", "x") == to_document(registered_loss, "x")
    reference = {"module": __name__, "registered_name": "tests>RegisteredLoss"}
    assert losses("tests>RegisteredLoss") == {
        **reference,
        "class_name": "RegisteredLoss",
        "config": {},
    }
    with pytest.raises(SpecError, match=r"^loss: 'tests>unknown' is not registered in this"):
        losses("tests>unknown")


def test_a_function_of_a_model_that_nobody_can_import_is_refused() -> None:
    def hidden(x: Any) -> Any:
        return x

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation=hidden)])
    inside = "hidden is made inside test_a_function_of_a_model"
    with pytest.raises(SpecError, match=f"{inside}.* in a function, model=ff.builder"):
        to_document(model, "model")
    with pytest.raises(SpecError, match=rf"{inside}\S* and cannot be sent; .* get_config$"):
        callbacks([keras.callbacks.LearningRateScheduler(hidden)])

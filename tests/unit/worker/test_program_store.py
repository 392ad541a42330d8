"""Programs on disk: read as they were written, or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fitfleet
from fitfleet.worker.engines.programs.program_key import _environment, code_hash
from fitfleet.worker.engines.programs.program_store import ProgramStore, folder_of

KEY, CONTENT = "a key, of any length", bytes(range(256)) * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "user" / "programs"


@pytest.fixture
def store(folder: Path) -> ProgramStore:
    store = ProgramStore(folder, 2**20)
    store.put(KEY, CONTENT)
    return store


def the_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_another_process_reads_what_was_put(store: ProgramStore, folder: Path) -> None:
    assert ProgramStore(folder, 2**20).get(KEY) == CONTENT
    assert store.get("another key") is None
    assert store.has(KEY) and not store.has("another key")
    store.remove(KEY)
    assert store.get(KEY) is None


def test_only_its_user_can_read_or_write(store: ProgramStore, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert the_file(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", [0, 31, 32, 39, 40, 60, -1])
def test_a_changed_byte_makes_it_missing(store: ProgramStore, folder: Path, place: int) -> None:
    written = bytearray(the_file(folder).read_bytes())
    written[place] ^= 1
    the_file(folder).write_bytes(written)
    assert store.get(KEY) is None
    assert list(folder.iterdir()) == []
    store.put(KEY, CONTENT)
    assert store.get(KEY) == CONTENT


@pytest.mark.parametrize("length", [0, 1, 32, 40, 41, 1000])
def test_a_file_cut_short_is_missing(store: ProgramStore, folder: Path, length: int) -> None:
    the_file(folder).write_bytes(the_file(folder).read_bytes()[:length])
    assert store.get(KEY) is None


def test_the_file_of_another_key_is_missing(store: ProgramStore, folder: Path) -> None:
    """A whole file with a right hash, put where the one of this key belongs."""
    mine = the_file(folder)
    store.put("foreign", b"foreign")
    (foreign,) = set(folder.iterdir()) - {mine}
    os.replace(foreign, mine)
    assert store.get(KEY) is None


@pytest.mark.parametrize("bits", [0o620, 0o602])
def test_a_file_that_others_may_write_is_missing(
    store: ProgramStore, folder: Path, bits: int
) -> None:
    the_file(folder).chmod(bits)
    assert store.get(KEY) is None


def test_no_link_is_followed(store: ProgramStore, folder: Path, tmp_path: Path) -> None:
    path = the_file(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.get(KEY) is None


def test_a_folder_that_others_may_write_is_not_used(store: ProgramStore, folder: Path) -> None:
    folder.chmod(0o770)
    other = ProgramStore(folder, 2**20)
    assert other.get(KEY) is None
    other.put("another", b"")
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = ProgramStore(tmp_path / "file" / "programs", 2**20)
    store.put(KEY, CONTENT)
    assert store.get(KEY) is None


def test_no_bytes_keep_nothing(folder: Path) -> None:
    store = ProgramStore(folder, 0)
    store.put(KEY, CONTENT)
    assert store.get(KEY) is None
    assert not folder.exists()


def test_what_was_used_longest_ago_makes_room(folder: Path) -> None:
    store = ProgramStore(folder, 3500)
    for number in range(3):
        store.put(str(number), bytes(1000))
        os.utime(folder / _name(folder, number), (number, number))
    assert store.get("0") is not None  # used now
    store.put("3", bytes(1000))
    assert [store.get(str(n)) is not None for n in range(4)] == [True, False, True, True]
    store.put("4", bytes(5000))
    assert store.get("4") is None and store.get("3") is not None


def _name(folder: Path, number: int) -> str:
    import hashlib

    return f"{hashlib.sha256(str(number).encode()).hexdigest()}.program"


def test_many_processes_write_and_read_at_once(folder: Path) -> None:
    """Each reads either nothing or a content that was put under its key."""
    script = (
        "import sys, pathlib, random\n"
        "from fitfleet.worker.engines.programs.program_store import ProgramStore\n"
        "s = ProgramStore(pathlib.Path(sys.argv[1]), 20_000)\n"
        "for n in range(300):\n"
        "    k = str(random.randrange(8))\n"
        "    s.put(k, k.encode() * random.choice((2000, 5000)))\n"
        "    got = s.get(str(random.randrange(8)))\n"
        "    k = str(random.randrange(8)); got = s.get(k)\n"
        "    assert got is None or got in (k.encode() * 2000, k.encode() * 5000)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(folder)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    used = sum(path.stat().st_size for path in folder.iterdir())
    # Those that looked at the same moment may each have put one more.
    assert 0 < used <= 20_000 + 4 * 5100
    assert not list(folder.glob("*.tmp"))


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder_of("") == tmp_path / "fitfleet" / "programs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert folder_of("") == Path("/home/someone/.cache/fitfleet/programs")
    assert folder_of("~/programs") == Path("/home/someone/programs")
    assert folder_of("elsewhere") == Path("elsewhere")
    assert folder_of("~nobody-of-this-name/programs") is None


def test_the_key_depends_on_all_code_that_decides_about_graphs(tmp_path: Path) -> None:
    package = Path(fitfleet.__file__).parent
    for name in ("worker", "spec"):
        shutil.copytree(package / name, tmp_path / name)
    hashes = {code_hash(package)}
    assert code_hash(tmp_path) in hashes
    assert _environment()["code"] in hashes
    for name in ("worker/fit.py", "worker/engines/engine.py", "spec/job.py", "spec/parts/model.py"):
        with (tmp_path / name).open("a") as file:
            file.write("# changed\n")
        assert code_hash(tmp_path) not in hashes
        hashes.add(code_hash(tmp_path))

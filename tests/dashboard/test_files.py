"""The files that a browser gets: those of others are as they gave them, and ours are small."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from fitfleet.dashboard.render import FOLDER

STATIC = FOLDER / "static"
FOLDERS = [STATIC / "vendor", Path(__file__).parent / "vendor"]


@pytest.mark.parametrize("folder", FOLDERS, ids=["shipped", "tests"])
def test_each_vendored_file_is_the_one_that_is_named(folder: Path) -> None:
    packages = json.loads((folder / "vendor.json").read_text())
    named = {}
    for package in packages:
        assert any(name.endswith("LICENSE") for name in package["files"]), package["package"]
        assert package["version"] and package["licence"]
        named.update(package["files"])
    there = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    del there["vendor.json"]
    assert there == named


def test_our_own_scripts_stay_small() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in STATIC.glob("*.js"))
    assert lines < 1_500


def test_no_page_has_a_script_or_a_style_in_it() -> None:
    for path in (FOLDER / "templates").glob("*.html"):
        text = path.read_text()
        if path.name == "cell.html":  # goes into a notebook, not onto our pages
            continue
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text), (
            path
        )


def test_nothing_names_another_host() -> None:
    for path in [*(FOLDER / "templates").glob("*"), *STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        addresses = set(re.findall(r"https?://[\w.]+", path.read_text()))
        assert addresses <= {"http://www.w3.org"}, path  # names of SVG

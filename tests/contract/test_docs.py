"""The documentation says what there is: pages from the code, names, links, queries."""

from __future__ import annotations

import dataclasses
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import fitfleet as ff
from fitfleet.api.app import ROUTES
from fitfleet.dashboard.actions import ACTIONS
from fitfleet.dashboard.app import READ
from fitfleet.dashboard.view import View
from fitfleet.db.actor import Scope
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec, JobOptions
from fitfleet.spec.submission import SPEC_NAMES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]
PAGES += sorted(DOCS.rglob("*.md"))


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_fresh(name: str) -> None:
    assert read(f"reference/{name}") == generate.PAGES[name](), "write it again with: make docs"


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", read("reference/settings.md"), re.M))
    assert documented == {field.name for field in dataclasses.fields(Settings)}


def test_every_command_is_documented() -> None:
    documented = re.findall(r"^## (fitfleet .+)$", read("reference/cli.md"), re.M)
    assert documented == [name for name, _ in generate.commands()]


def test_every_address_of_the_dashboard_is_documented() -> None:
    page = read("reference/dashboard.md")
    paths = [path.replace("{job_id:int}", "{job_id}") for path in READ]
    paths += [f"/do/{action}" for action in ACTIONS]
    assert [path for path in paths if f"`{path}" not in page] == []
    fields = View("").query()
    assert [name for name in fields if f"`{name}" not in page and f"{name}=" not in page] == []


def test_every_route_of_the_api_is_documented_in_its_scope() -> None:
    page = read("reference/api.md")
    sections = {scope: page.partition(f"## Scope `{scope}`")[2].split("## ")[0] for scope in Scope}
    documented = {
        (method, path, scope)
        for scope, section in sections.items()
        for method, path in re.findall(r"^\| `(GET|POST|PUT) (\S+)` \|", section, re.M)
    }
    routes = {(method, path.replace(":int", ""), scope) for method, path, scope, _ in ROUTES}
    assert documented == routes


def test_every_public_name_is_documented() -> None:
    page = read("reference/python.md") + read("reference/errors.md")
    assert [name for name in ff.__all__ if name not in page] == []


def _public(kind: type) -> set[str]:
    ours = [base for base in kind.__mro__ if base.__module__.startswith("fitfleet.")]
    return {name for base in ours for name in vars(base) if name[0] != "_"}


def test_every_public_member_of_the_handles_is_documented() -> None:
    page = read("reference/python.md")
    jobs = page[page.index("## Jobs") : page.index("## Sweeps")]
    # For the rest of fitfleet: close, row, update.
    assert _public(ff.Fleet) - {"close"} == set(re.findall(r"`Fleet\.(\w+)\(", page))
    assert _public(ff.Job) - {"row", "update"} - set(re.findall(r"`(\w+)[`(]", jobs)) == set()


def test_every_argument_of_submit_is_documented() -> None:
    page = read("reference/python.md")
    names = [*SPEC_NAMES, *JobOptions.model_fields]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_field_of_a_dataset_is_documented() -> None:
    page = read("reference/datasets.md")
    fields = [name for name in DatasetSpec.model_fields if name not in ("path", "fold")]
    assert [name for name in fields if name not in page] == []


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith(("http:", "https:", "mailto:")):
                yield page, target


def test_links_between_pages_work() -> None:
    broken = []
    for page, target in links():
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_index() -> None:
    seen = {(page.parent / target.partition("#")[0]).resolve() for page, target in links()}
    lonely = [
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if page.resolve() not in seen and page.parent.name != "decisions"
    ]
    assert lonely == []


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "Keep a Changelog" in text
    assert "## [Unreleased]" in text


@pytest.mark.parametrize(
    "query", re.findall(r"```sql\n(.*?)```", read("how-to/query-sql.md"), re.S)
)
def test_the_queries_of_the_guide_run(query: str, database: Database) -> None:
    with database.read() as c:
        c.exec_driver_sql(query.rstrip().rstrip(";")).fetchall()


def test_the_map_names_every_room_of_the_package() -> None:
    package = DOCS.parent / "fitfleet"
    text = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.name for path in package.iterdir() if not path.name.startswith(("_", "py.typed"))}
    assert {name for name in rooms if f"](../../fitfleet/{name})" not in text} == set()


def test_the_arrows_of_the_map_are_those_that_import_linter_holds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    text = read("explanation/architecture.md")
    (arrows,) = re.findall(r"^```\n(cli → .*?)```", text, re.MULTILINE | re.DOTALL)
    assert " ".join(arrows.split()).split(" → ") == layers


def test_each_decision_has_a_number_of_its_own() -> None:
    names = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    numbers = [int(name[:4]) for name in names]
    assert len(set(numbers)) == len(numbers) > 5
    headings = [read(f"decisions/{name}").split(maxsplit=2)[:2] for name in names]
    assert headings == [["#", f"{number}."] for number in numbers]

"""Writes the parts of docs/reference that come from the code: `make docs`.

tests/contract/test_docs.py fails when a page is not what this writes.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from fitfleet import errors
from fitfleet.cli import exit_codes
from fitfleet.cli.main import app
from fitfleet.db.schema.views import COLUMNS
from fitfleet.settings import Settings

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from the code; edit there. -->\n"


def settings() -> str:
    """Every setting with its default and meaning."""
    lines = [
        "# Settings",
        NOTE,
        "Given as arguments of `ff.local` and `ff.connect`, as environment variables"
        " `FITFLEET_<NAME>` in capitals, or in `fitfleet.toml` in the working directory"
        " (or where `FITFLEET_CONFIG` points); the first that is there wins. `fitfleet settings`"
        " shows what is in effect. Names ending in `_s` are seconds, in `_bytes` bytes.\n",
        "| setting | default | meaning |",
        "| --- | --- | --- |",
    ]
    for name, default, help in Settings.table():
        shown = f"`{default!r}`" if default not in ("", ()) else "none"
        lines.append(f"| `{name}` | {shown} | {help} |")
    return "\n".join(lines) + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that ends a line: its full name and its Click command."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for part, child in command.commands.items():
                yield from walk(f"{name} {part}", child)
        else:
            yield name, command

    yield from walk("fitfleet", typer.main.get_command(app))


def cli() -> str:
    """Every command with its arguments and options."""
    lines = ["# Command line", NOTE]
    lines += [
        "Exit codes:\n",
        "```",
        (exit_codes.__doc__ or "").split("\n\n", 1)[1].strip(),
        "```\n",
    ]
    for name, command in commands():
        arguments = " ".join(
            parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]"
            for parameter in command.params
            if parameter.param_type_name == "argument"
        )
        lines += [f"## {name}\n", f"`{f'{name} {arguments}'.strip()}`\n", f"{command.help}\n"]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        if options:
            lines += ["| option | meaning |", "| --- | --- |"]
            lines += [f"| `{', '.join(p.opts)}` | {p.help or ''} |" for p in options]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def sql() -> str:
    """Every view, column by column."""
    lines = [
        "# SQL views",
        NOTE,
        "The views are a public contract: they answer the same on SQLite and PostgreSQL, and a"
        " test fails when a column changes. Times are ISO-8601 text in UTC. The tables behind"
        " them may change with any version. Queries to start from:"
        " [how to query](../how-to/query-sql.md), and [ten queries](queries.sql) that the tests run"
        " on SQLite, PostgreSQL and, through [these views](duckdb.sql), with DuckDB on the SQLite"
        " file.\n",
    ]
    for view, columns in COLUMNS.items():
        lines += [f"## {view}\n", "| column | type | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in columns] + [""]
    return "\n".join(lines).rstrip() + "\n"


def duckdb() -> str:
    """The views in DuckDB, read from the SQLite file."""
    # DuckDB takes what SQLite computes for text, and gives such a column no other type by itself.
    kinds = {"integer": "BIGINT", "real": "DOUBLE"}
    lines = [
        "-- The views in DuckDB, read live from the SQLite file of a fleet. First:",
        "-- ATTACH '.fitfleet/fleet.db' AS fleet (TYPE sqlite, READ_ONLY);",
        "-- Written by `make docs` from the code.",
    ]
    for view, columns in COLUMNS.items():
        rows = [
            f'  CAST("{name}" AS {kinds.get(kind, "VARCHAR")}) AS "{name}"'
            for name, kind, _ in columns
        ]
        lines += [f"\nCREATE OR REPLACE VIEW {view} AS SELECT", ",\n".join(rows)]
        lines.append(f"FROM fleet.{view};")
    return "\n".join(lines) + "\n"


def error_page() -> str:
    """The error tree, each with what its class says."""
    lines = [
        "# Errors and exit codes",
        NOTE,
        "Every error that a user can cause or meet descends from `ff.FitfleetError`; `str(error)`"
        " is one sentence: what failed, the value seen, the next step. The command line prints"
        " that sentence and no traceback.\n",
        "| error | when | exit code |",
        "| --- | --- | --- |",
    ]
    source = Path(errors.__file__).read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name != "FitfleetError":
            kind = getattr(errors, node.name)
            first = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
            lines.append(
                f"| `{node.name}` | {first} | {exit_codes.exit_code(kind.__new__(kind))} |"
            )
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "cli.md": cli,
    "sql.md": sql,
    "duckdb.sql": duckdb,
    "errors.md": error_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")

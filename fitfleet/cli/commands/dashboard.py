"""`dashboard`: the fleet on a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fitfleet.cli.command import Target, command, say


@command
def dashboard(
    target: Target,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port (default: the first free one from 8787 on)."),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="File whose first line is the sign-in password; required with --host."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Accepted host name, such as a proxy's; may be repeated."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="URL path that a reverse proxy serves it under.")
    ] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Allow no changes.")] = False,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Serve the dashboard: live curves, tables, the queue and why jobs wait, workers.

    Prints a link that signs in one browser, and a new one when it has been used.
    """
    from fitfleet.dashboard.options import Options, read_secret
    from fitfleet.dashboard.serve import Dashboard

    options = Options(
        host=host,
        port=port,
        root_path=root_path,
        is_read_only=read_only,
        secret=None if password_file is None else read_secret(password_file),
        hosts=tuple(allow_host or ()),
    )
    page = Dashboard(target.fleet(create=True), options)
    link = page.url
    say(f"dashboard: {link}")
    say("Ctrl-C ends it.")
    page.board.gate.on_used = lambda: say(f"signed in; for another browser: {page.url}")
    if browser and options.is_loopback and sys.stderr.isatty():
        import webbrowser

        webbrowser.open(link)
    page.run()

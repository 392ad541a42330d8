"""The `fitfleet` command: which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

from fitfleet.cli.commands import (
    access,
    api,
    background,
    dashboard,
    disk,
    drill,
    job_actions,
    labels,
    predict,
    priorities,
    quotas,
    service,
    show_jobs,
    submit,
    sweep,
    top,
    webhook,
)

app = typer.Typer(
    name="fitfleet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Submit fleets of Keras fits, run them on workers, compare them in SQL.\n\n"
        "Exit codes: 0 all well, 1 a job failed, 2 bad input, 3 database or broker"
        " unreachable, 130 interrupted."
    ),
)
database = typer.Typer(no_args_is_help=True, help="Database maintenance.")
token = typer.Typer(no_args_is_help=True, help="Access tokens.")
user = typer.Typer(no_args_is_help=True, help="Quotas and shares of users.")
group = typer.Typer(no_args_is_help=True, help="Groups of users, their quotas and shares.")
webhooks = typer.Typer(no_args_is_help=True, help="Webhooks: notify a server when something ends.")

_PANELS = {
    "Jobs": [
        submit.run,
        submit.submit,
        show_jobs.ps,
        show_jobs.show,
        show_jobs.why,
        show_jobs.watch,
        show_jobs.logs,
        show_jobs.compare,
        job_actions.cancel,
        job_actions.retry,
        job_actions.extend,
        priorities.priority,
        priorities.limit,
        labels.tag,
        labels.note,
        job_actions.pause,
        job_actions.resume,
        job_actions.export,
        predict.predict,
        predict.evaluate,
        disk.rm,
        disk.archive,
        disk.restore,
    ],
    "Sweeps": [
        sweep.plan,
        sweep.sweeps,
        sweep.resume_sweep,
        sweep.lineage,
        sweep.rank,
        sweep.plot,
        sweep.export_runs,
    ],
    "Services": [
        background.up,
        background.down,
        background.status,
        service.worker,
        service.scheduler,
        api.api,
        api.join,
        service.workers,
        top.top,
        service.drain,
        dashboard.dashboard,
        disk.du,
        disk.gc,
        access.audit,
        service.doctor,
        drill.drill,
        service.settings,
        service.version,
    ],
}

for panel, commands in _PANELS.items():
    for function in commands:
        app.command(rich_help_panel=panel)(function)
database.command()(service.upgrade)
app.add_typer(database, name="db", rich_help_panel="Services")
for name, function in (
    ("create", access.create),
    ("list", access.listed),
    ("revoke", access.revoke),
):
    token.command(name)(function)
app.add_typer(token, name="token", rich_help_panel="Services")
for name, function in (("set", quotas.set_user), ("list", quotas.users_listed)):
    user.command(name)(function)
app.add_typer(user, name="user", rich_help_panel="Services")
for name, function in (
    ("set", quotas.set_group),
    ("list", quotas.groups_listed),
    ("remove", quotas.remove_group),
):
    group.command(name)(function)
app.add_typer(group, name="group", rich_help_panel="Services")
for name, function in (
    ("add", webhook.add),
    ("list", webhook.listed),
    ("remove", webhook.remove),
):
    webhooks.command(name)(function)
app.add_typer(webhooks, name="webhook", rich_help_panel="Services")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        print(f"fitfleet {version('fitfleet')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None: ...


def main() -> None:
    """Entry point of the `fitfleet` command."""
    app()

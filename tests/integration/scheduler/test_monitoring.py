"""/metrics is right out of SQL, in Prometheus's format; alerts and dashboard name what it has."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import sqlalchemy as sa
import yaml
from support.rows import commit, insert, insert_many, new_job, register, take
from support.servers import free_port
from typer.testing import CliRunner

import fitfleet
from fitfleet import probes
from fitfleet.cli.main import app
from fitfleet.db.attempts import ends
from fitfleet.db.fleet import workers
from fitfleet.db.jobs import experiments
from fitfleet.db.reading import gauges
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.errors import SettingsError
from fitfleet.scheduler import monitoring
from fitfleet.scheduler.exposition import BOUNDS, Exposition
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.states import FailureClass

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
_SAMPLE = re.compile(r"([a-z_:][\w:]*)(?:\{(.*)\})? (-?[\d.]+(?:e[+-]?\d+)?|\+Inf|NaN)")
_LABEL = re.compile(r'([a-z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> tuple[Samples, dict[str, str]]:
    """The samples, and the type of each family; fails on what the format does not allow."""
    samples: Samples = {}
    types: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("gauge", "counter", "histogram")
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            name, inside, value = match.groups()
            labels = tuple(_LABEL.findall(inside or ""))
            assert "".join(f'{k}="{v}",' for k, v in labels).rstrip(",") == (inside or "")
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in types or types.get(family) == "histogram", line
            assert (name, labels) not in samples
            samples[name, labels] = float(value)
    return samples, types


def filled(database: Database) -> None:
    """One job in each place that a dashboard shows."""
    register(database, 3)
    insert_many(database, 4)
    insert(database, new_job("g", experiment="other", queue='gp\\u"x'))
    done, failed, _ = take(database, 3)
    insert(database, new_job("p", experiment="paused"))
    with database.begin() as c:
        commit(c, done, epoch=5, seconds=2.0)
        ends.fail(c, failed, FailureClass.LOST, "gone", backoff_s=500.0)
        experiments.pause(c, "paused")
        workers.heartbeat(c, "fleet@host", {"cpu_percent": 12.5, "memory_bytes": 5})
        c.execute(sa.update(jobs).values(submitted_at=jobs.c.submitted_at - 30.0))


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_counts_what_is_in_the_database(database: Database, settings: Settings) -> None:
    filled(database)
    scheduler = Scheduler(settings, database)
    port = monitoring.serve("127.0.0.1:0", settings, database, scheduler)
    assert get(port, "/readyz")[0] == 503
    scheduler.tick()
    assert (get(port, "/healthz"), get(port, "/readyz")) == ((200, "ok\n"), (200, "ok\n"))
    status, text = get(port, "/metrics")
    samples, types = parse(text)
    assert status == 200 and types["fitfleet_attempts_total"] == "counter"

    def value(name: str, **labels: str) -> float:
        return samples[name, tuple(labels.items())]

    assert value("fitfleet_jobs", queue="cpu", status="SUCCEEDED") == 1
    assert value("fitfleet_jobs", queue="cpu", status="FAILED") == 0
    assert value("fitfleet_jobs", queue='gp\\\\u\\"x', status="QUEUED") == 1
    assert value("fitfleet_waiting_jobs", queue="cpu", reason="paused") == 1
    assert value("fitfleet_waiting_jobs", queue="cpu", reason="backoff") == 1
    assert value("fitfleet_waiting_jobs", queue='gp\\\\u\\"x', reason="no_worker") == 1
    assert 30 <= value("fitfleet_oldest_waiting_seconds", queue="cpu", reason="paused") < 300
    assert value("fitfleet_slots", queue="cpu", state="busy") == 1
    assert value("fitfleet_slots", queue="cpu", state="free") == 2
    assert value("fitfleet_attempts_total", outcome="succeeded") == 1
    assert value("fitfleet_attempts_total", outcome="lost") == 1
    assert value("fitfleet_host_cpu_percent", host="host") == 12.5
    assert value("fitfleet_run_seconds_bucket", le="1") <= value(
        "fitfleet_run_seconds_bucket", le="5"
    )
    assert value("fitfleet_run_seconds_count") == value("fitfleet_run_seconds_bucket", le="+Inf")
    assert value("fitfleet_broker_up") == value("fitfleet_database_up") == 1
    assert {name for _, labels in samples for name, _ in labels} <= {
        *("queue", "status", "reason", "state", "outcome", "host", "le", "version"),
    }
    assert "digits" not in text
    assert get(port, "/x")[0] == 404


def test_a_restart_counts_the_same(database: Database, settings: Settings) -> None:
    filled(database)

    def counters() -> dict[Any, float]:
        samples, types = parse(Exposition(settings, database).page())
        return {key: n for key, n in samples.items() if types.get(key[0]) == "counter"}

    assert counters() == counters() != {}


def test_an_outage_is_on_the_page(settings: Settings) -> None:
    away = f"postgresql://fitfleet:geheim@127.0.0.1:{free_port()}/fleet"
    broker = f"redis://:geheim@127.0.0.1:{free_port()}/0"
    text = Exposition(settings.replace(broker_url=broker), Database(away)).page()
    samples, _ = parse(text)
    assert samples["fitfleet_database_up", ()] == samples["fitfleet_broker_up", ()] == 0
    assert "geheim" not in text


def test_a_histogram_counts_up_to_each_bound(database: Database) -> None:
    insert_many(database, 3)
    for claim, seconds in zip(take(database, 3), (0.1, 2.0, 1e6), strict=True):
        with database.begin() as c:
            commit(c, claim, epoch=5, seconds=seconds)
    with database.read() as c:
        counted = gauges.run_seconds(c, BOUNDS)
    assert list(counted.at_most) == [1 + (bound >= 5) for bound in BOUNDS]
    assert (counted.count, counted.total) == (3, pytest.approx(1e6 + 2.1))


@pytest.mark.parametrize("address", ["9600x", "host:", "127.0.0.1:70000", "::"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="is not an address such as"):
        probes.serve(address, {})


def test_a_port_that_is_taken_is_reported() -> None:
    port = probes.serve("127.0.0.1:0", {"/": lambda: (200, probes.TEXT, "x")})
    with pytest.raises(SettingsError, match="metrics: cannot listen on"):
        probes.serve(f"127.0.0.1:{port}", {})


def test_a_page_that_fails_costs_only_its_answer() -> None:
    def fail() -> tuple[int, str, str]:
        raise RuntimeError("secret")

    port = probes.serve("127.0.0.1:0", {"/bad": fail, "/ok": lambda: (200, probes.TEXT, "x")})
    assert get(port, "/bad") == (500, "RuntimeError\n")
    assert get(port, "/ok") == (200, "x")


def expressions() -> list[str]:
    """All that the alerts and the dashboard ask of Prometheus."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    board = json.loads((MONITORING / "grafana.json").read_text())
    of_rules = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return of_rules + [t["expr"] for panel in board["panels"] for t in panel["targets"]]


_FUNCTIONS = {"absent", "histogram_quantile", "increase", "max", "rate", "sum", "time"}


_PACKAGE = Path(fitfleet.__file__).parent
_WORKER = _PACKAGE / "worker" / "process" / "serving.py"


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_what_the_page_has(
    expression: str, sqlite_url: str, settings: Settings
) -> None:
    source = (_PACKAGE / "scheduler" / "exposition.py").read_text()
    source += (Path(gauges.__file__)).read_text() + _WORKER.read_text()
    outside = re.sub(r"\{[^}]*\}|\[\w+\]|by \([^)]*\)", " ", expression)
    for name in re.findall(r"[a-zA-Z_]\w*", outside):
        known = re.sub(r"_(bucket|sum|count)$", "", name)
        if name.startswith("fitfleet_host_"):
            assert f'"{name.removeprefix("fitfleet_host_")}": ' in source
        elif name.startswith("fitfleet_"):
            assert f'"{known}"' in source
        else:
            assert name in _FUNCTIONS or name in ("e9",)
    for label, value in re.findall(r'(\w+)=~?"([^"]*)"', expression):
        assert label in ("status", "reason", "state", "outcome")
        assert all(f'"{word}"' in source or word in _words() for word in value.split("|"))
    promql_parser.parse(expression)  # ValueError for what Prometheus would not take


def _words() -> set[str]:
    return {*map(str, FailureClass), "QUEUED", "DISPATCHED", "RUNNING"}


def test_every_alert_says_how_bad_it_is_and_what_it_means() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"].endswith(".")
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))


def test_top_shows_queues_slots_and_hosts(database: Database) -> None:
    filled(database)
    url = database.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["top", "--once", "--database-url", url])
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split() for line in done.output.splitlines() if line.strip()}
    assert lines["cpu"][1:3] == ["1", "3"]
    assert "1 paused" in " ".join(lines["cpu"])
    assert "for a worker of the queue" in done.output
    assert lines["host"] != lines["cpu"]
    assert any(line.split()[:4] == ["host", "3", "12", "%"] for line in done.output.splitlines())

"""What the pages answer: parts, files, errors, and the same on both databases."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from example_rows import EPOCHS, fill, logs, train
from page_client import Serve, Visitor
from proxy import Proxy
from support.rows import insert, new_job, register
from support.simulated_worker import arguments
from support.waiting import until

from fitfleet import Sequential, layers
from fitfleet.client.display.progress_snapshot import RunningJob
from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.board import Board
from fitfleet.dashboard.notebook import view
from fitfleet.dashboard.options import Options
from fitfleet.dashboard.pages.fleet import seconds_to_empty
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.pages import fleet as tables
from fitfleet.db.pages import ranking, table
from fitfleet.db.pages.changes import Changes
from fitfleet.db.pages.table import JobQuery
from fitfleet.db.session import Database
from fitfleet.db.sweeps import sweeps, trials
from fitfleet.db.sweeps.lineage import Descent
from fitfleet.db.sweeps.trials import NewTrial
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.search.population import pbt


def test_the_table_is_sorted_and_filtered_alike_on_both_databases(database: Database) -> None:
    ids = fill(database)["ids"]
    with database.read() as c:
        facets = table.facets(c, 1)
        assert facets.differing == ["optimizer", "rate", "units"]
        assert (facets.metrics, facets.scores) == (
            ["loss", "val_loss", "accuracy"],
            ["test_accuracy"],
        )
        for name in [*facets.columns, "seconds", "tags", "finished"]:
            for is_descending in (False, True):
                assert sorted(table.page(c, JobQuery(1, name, is_descending), 100)) == ids, name
        by_loss = table.page(c, JobQuery(1, "metric.val_loss", True), 3)
        assert by_loss == [20, 18, 17]  # without a value they come last
        rates = JobQuery(1, "param.rate", ranges={"param.rate": (0.005, 0.05)})
        assert table.page(c, rates, 100) == [i for i in ids if (i - 1) // 2 % 3 == 1]
        named = JobQuery(1, values={"param.optimizer": ["sgd"]}, search="units=16")
        assert table.page(c, named, 100) == [i for i in ids if (i - 1) // 2 % 4 == 1]
        assert len(ranking.read(c, named).ids) == 6
        assert table.page(c, JobQuery(1, search="100%_"), 5) == []
        first = table.points(c, [1], ["param.optimizer", "metric.loss"])[0]
        assert first[2] == "adam" and first[3] == pytest.approx(logs(1, EPOCHS)["loss"])


def test_a_curve_is_sent_once(visitor: Visitor, fleet: Fleet) -> None:
    claim = fill(fleet.database)["running"]
    job = claim.job_id
    first = visitor.get(f"/data/curves?metric=val_loss&jobs=1:0,{job}:0").json["jobs"]
    assert (
        first["1"]["epochs"] == list(range(1, EPOCHS + 1)) and len(first[str(job)]["epochs"]) == 2
    )
    train(fleet.database, claim, 3, 3)
    again = visitor.get(f"/data/curves?metric=val_loss&jobs=1:{EPOCHS},{job}:2").json["jobs"]
    assert (again["1"]["epochs"], again[str(job)]["epochs"]) == ([], [3])


def test_lines_of_jobs_that_differ_by_seed_alone_say_the_seed(
    visitor: Visitor, fleet: Fleet
) -> None:
    fill(fleet.database)  # two seeds a configuration
    jobs = visitor.get("/data/chosen?name=digits&sel=1,2,3").json["jobs"]
    told = {job["id"]: (job["configuration"], job["label"]) for job in jobs}
    text = told[1][0]
    assert "units=8" in text and "fixed" not in text
    assert told[1] == (text, f"{text}, seed=0") and told[2] == (text, f"{text}, seed=1")
    assert told[3][0] == told[3][1] != text
    compared = visitor.get("/compare?jobs=1,2").text
    assert '<span hidden data-label="1">seed=0</span>' in compared
    assert '<span hidden data-label="2">seed=1</span>' in compared


def test_long_curves_come_in_pieces_of_a_bounded_size(visitor: Visitor, fleet: Fleet) -> None:
    claim = fill(fleet.database)["running"]
    train(fleet.database, claim, 3, 30_000)
    known, pieces, has_more = 0, 0, True
    while has_more:
        answer = visitor.get(f"/data/curves?metric=loss&jobs={claim.job_id}:{known}")
        piece = answer.json["jobs"][str(claim.job_id)]
        assert piece["epochs"][0] == known + 1 and len(answer.text) < 400_000
        known, has_more, pieces = piece["epochs"][-1], answer.json["has_more"], pieces + 1
    assert (known, pieces) == (30_000, 3)


def test_tables_download_as_csv_without_formulas(visitor: Visitor, fleet: Fleet) -> None:
    fill(fleet.database)
    insert(fleet.database, new_job("x", params={"units": "=1+1", "optimizer": 'a,"b"'}))
    answer = visitor.get("/csv/table?name=digits&sort=job")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 25 and rows[0]["test_accuracy"]
    assert (rows[-1]["units"], rows[-1]["optimizer"]) == ("'=1+1", 'a,"b"')
    assert "attachment" in answer.headers["content-disposition"]
    groups = list(csv.DictReader(io.StringIO(visitor.get("/csv/groups?name=digits").text)))
    assert {row["verdict"] for row in groups} & {"best", "tie", "worse"}


def test_all_is_not_done_before_the_last_running_job(fleet: Fleet) -> None:
    fill(fleet.database)
    with fleet.database.read() as c:
        throughput = tables.throughput(c)
    rate = throughput.per_second
    assert rate > 0
    slow = RunningJob(1, "digits", {}, 1, 9, 0, None, {}, "host/cpu0", 1e6)
    unknown = replace(slow, seconds_left=None)
    assert seconds_to_empty(throughput, 6, [unknown]) == pytest.approx(6 / rate)
    assert seconds_to_empty(throughput, 6, [unknown, slow]) == 1e6
    assert seconds_to_empty(throughput, 0, []) is None


def test_what_is_not_there_is_reported_on_a_page(visitor: Visitor, fleet: Fleet) -> None:
    insert(fleet.database, new_job("a"))
    for path, text in (
        ("/job/77", "there is no job 77"),
        ("/experiment?name=none", "there is no experiment"),
        ("/sweep?name=none", "none"),
        ("/compare?jobs=1", "1 jobs were chosen"),
        ("/compare?jobs=1,9", "there is no job 9"),
        ("/job/1/weights", "has no weights"),
        ("/nowhere", "There is no such page"),
    ):
        answer = visitor.get(path)
        assert answer.status in (400, 404, 409), path
        assert text in answer.text and "<nav" in answer.text, path


@pytest.mark.parametrize(
    "query", ["page=-1", "page=x", "brush={", "brush=[1]", "sel=1,x", "smooth=nan", "best=0",
              "sort=drop+table", "cols=%00", "metric=none", "status=NONE",
              "brush={\"seed\":[1e999,2]}"]
)  # fmt: skip
def test_a_broken_address_shows_the_usual_view(visitor: Visitor, fleet: Fleet, query: str) -> None:
    fill(fleet.database, count=6)
    for path in ("/experiment", "/part/table", "/data/points", "/data/chosen"):
        assert visitor.get(f"{path}?name=digits&{query}").status == 200, path


def test_the_generations_of_a_population_are_shown(visitor: Visitor, fleet: Fleet) -> None:
    sweep_design = {"search": pbt(population=2, perturbation_interval=2), "trials": None}
    model = {"model": Sequential([layers.Input((4,)), layers.Dense(1)])}
    with fleet.database.begin() as c:
        document = design(arguments(**model, **sweep_design)).to_json()
        row, _ = sweeps.create(c, "grown", "net", document)
        changes = {"rate": {"from": 0.1, "to": 0.08}}
        for number, descent in enumerate([Descent(0, 0), Descent(0, 1), Descent(1, 1, 0, changes)]):
            jobs = {0: new_job(f"p{number}", experiment="net")}
            trial = NewTrial(number, {"rate": 0.1}, str(number), (), None, jobs, descent)
            assert trials.take(c, row.id, trial)
    page = visitor.get("/sweep?name=grown")
    assert page.status == 200, page.text
    assert "job 1</a> of member 0" in page.text
    assert "rate 0.1 → 0.08" in page.text


def test_the_spec_and_the_weights_are_downloaded(
    visitor: Visitor, fleet: Fleet, tmp_path: Path
) -> None:
    fill(fleet.database)
    assert json.loads(visitor.get("/job/1/spec.json").text)["epochs"] == EPOCHS
    assert "not in the storage" in visitor.get("/job/1/weights").text
    path = Path(fleet.settings.storage) / str(fleet.job(1).row.artifact_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert visitor.get("/job/1/weights").text == "weights"


def test_slots_have_the_names_that_commands_take(visitor: Visitor, fleet: Fleet) -> None:
    register(fleet.database, 2)
    shown = visitor.get("/").text
    assert 'title="host:1:0">host/cpu0<' in shown and 'title="host:1:1">host/cpu1<' in shown


@pytest.mark.parametrize("is_stripping", [True, False])
def test_it_works_behind_a_proxy_under_a_path(
    serve: Serve, fleet: Fleet, is_stripping: bool, tmp_path: Path
) -> None:
    fill(fleet.database, count=6)
    page = serve(fleet, root_path="/fit/fleet")
    port = urlsplit(page.address).port
    assert port is not None
    with Proxy(tmp_path, port, "/fit/fleet", is_stripping=is_stripping) as proxy:
        visitor = Visitor(f"http://127.0.0.1:{proxy.port}/fit/fleet/")
        token = page.board.gate.issue()
        assert visitor.get(f"/fit/fleet/sign-in?token={token}").status == 200
        for path in ("/", "/experiment?name=digits", "/job/1", "/static/page.js"):
            answer = visitor.get(f"/fit/fleet{path}")
            assert answer.status == 200, path
            assert 'href="/job' not in answer.text and 'src="/static' not in answer.text
        assert visitor.post("/fit/fleet/do/pause", name="digits").status == 200


def test_one_poll_of_the_database_serves_all_streams(page: Dashboard, fleet: Fleet) -> None:
    fill(fleet.database, count=6)
    visitor = Visitor(page.address)
    visitor.sign_in(page.url)
    with ExitStack() as opened:
        streams = [opened.enter_context(_stream(page, visitor)) for _ in range(5)]
        until(lambda: page.board.live.cursor > 0)
        (job_id,) = insert(fleet.database, new_job("new"))
        for stream in streams:
            lines = iter(lambda stream=stream: stream.readline().decode(), "")
            news = next(line for line in lines if f"job-{job_id}" in line)
            assert '"fleet"' in news and '"experiment-1"' in news


@contextmanager
def _stream(page: Dashboard, visitor: Visitor) -> Iterator[HTTPResponse]:
    """The events of a page, as its browser reads them."""
    connection = HTTPConnection(urlsplit(page.address).netloc, timeout=60)
    with closing(connection):
        connection.request("GET", "/events", headers={"Cookie": visitor.cookie})
        with connection.getresponse() as response:
            yield response


def test_pages_notified_of_a_change_at_once_share_one_reading(fleet: Fleet) -> None:
    board = Board(fleet, Options())
    board.live._listeners.add(asyncio.Queue())
    board.live._begin()
    reads = []

    def read() -> int:
        reads.append(threading.get_ident())
        until(lambda: sum(thread.is_alive() for thread in pages) == len(pages))
        return len(reads)

    answers: list[int] = []
    pages = [
        threading.Thread(target=lambda: answers.append(board.cached("table", read)))
        for _ in range(8)
    ]
    for thread in pages:
        thread.start()
    for thread in pages:
        thread.join(60)
    assert answers == [1] * 8
    board.live.history.add(Changes(jobs={1: 1}))
    assert board.cached("table", lambda: 2) == 2


def test_an_older_schema_is_reported_with_what_to_do(serve: Serve, fleet: Fleet) -> None:
    with fleet.database.begin() as c:
        c.exec_driver_sql("ALTER TABLE job_labels RENAME TO gone")
    page = serve(fleet)
    visitor = Visitor(page.address)
    visitor.sign_in(page.url)
    insert(fleet.database, new_job("a"))
    answer = visitor.get("/experiment?name=digits")
    assert answer.status == 503 and "fitfleet d" in answer.text


def test_a_notebook_gets_the_link_and_the_experiment(fleet: Fleet) -> None:
    fill(fleet.database)
    shown = view(fleet, None, None)
    try:
        html = shown.html()
        assert "<polyline" in html and "digits" in html and "sign-in?token=" in html
        assert Visitor(shown.page.address).sign_in(shown.url).status == 200
        assert "token" not in repr(shown)
    finally:
        shown.page.stop()

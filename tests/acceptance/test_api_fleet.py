"""A fleet behind doors: PostgreSQL, Valkey and the API over TLS, a host that joins with a token,
and a script that has nothing but the API's address and a token."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from support.servers import Postgres, Valkey, die_with_parent
from support.tls import Authority, TlsFront
from support.waiting import until

import fitfleet as ff
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.db.fleet import workers
from fitfleet.db.session import Database
from fitfleet.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = """
import json, sys
import numpy as np
import fitfleet as ff

x = np.linspace(-1, 1, 256, dtype="float32").reshape(64, 4)
y = x.sum(axis=1, keepdims=True)
model = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(3), ff.layers.Dense(1)])
with ff.connect() as fleet:
    job = fleet.submit(
        model=model, dataset=(x, y), optimizer="adam", loss="mse", metrics=["mae"], epochs=3,
        seed=4, experiment="by-api", validation_split=0.25, requires={"zone": "a"},
    )
    fleet.wait(job, timeout_s=300, raise_on_failure=True)
    assert "tensorflow" not in sys.modules
    weights = {name: array.tolist() for name, array in job.weights().items()}
    assert "tensorflow" not in sys.modules
    print(json.dumps({
        "id": job.id, "hash": job.row.content_hash, "weights": weights,
        "history": job.history.to_dict("list"), "scores": job.scores,
        "best": fleet.best("by-api").id, "compared": len(fleet.compare("by-api")),
        "predicted": job.predict(x[:8], where="here").tolist(), "why": str(job.why()),
        "log": len(job.logs()),
    }))
"""

SWEEPING = """
import json, sys
import numpy as np
import fitfleet as ff

x = np.linspace(-1, 1, 256, dtype="float32").reshape(64, 4)
y = x.sum(axis=1, keepdims=True)
layers = [ff.layers.Input((4,)), ff.layers.Dense(ff.choice([2, 3])), ff.layers.Dense(1)]
with ff.connect() as fleet:
    sweep = fleet.sweep(
        model=ff.Sequential(layers), dataset=(x, y), optimizer="adam", loss="mse", epochs=2,
        validation_split=0.25, search="grid", experiment="swept", requires={"zone": "a"},
    )
    assert sweep.plan().jobs == 2
    sweep.run(timeout_s=300)
    best = sweep.best
    far = best.predict(x, where="fleet")
    measured = best.evaluate((x, y), where="fleet")
    sweep.export.to_csv("swept.csv")
    assert "tensorflow" not in sys.modules
    ensemble = fleet.ensemble("swept", top=2)
    print(json.dumps({
        "progress": vars(sweep.progress), "best": sweep.best_params["units"],
        "far": far.tolist(), "here": best.predict(x, where="here").tolist(),
        "measured": measured, "members": ensemble.members, "score": ensemble.score,
        "single": ensemble.best_single_score, "rows": len(sweep.compare()),
    }))
"""


class Doored:
    """The parts of one fleet; all that they print goes to `logs`."""

    def __init__(self, folder: Path, settings: Settings, authority: Authority) -> None:
        self.folder, self.settings, self.authority = folder, settings, authority
        self.database = Database(settings.database_url)
        self.stack = ExitStack()
        self.url = ""

    def token(self, user: str, scope: Scope) -> str:
        with self.database.begin() as c:
            return tokens.create(c, user, scope)

    def start(self, name: str, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
        """A command in a folder and with an environment of its own."""
        folder = self.folder / name
        folder.mkdir()
        plain = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fitfleet", *words],
                env={**plain, **environment},
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self.stack.callback(process.wait, 60)
        self.stack.callback(process.terminate)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def has_slot(self) -> bool:
        with self.database.read() as c:
            return bool(workers.live(c, 60.0))

    def run(self, script: str, token: str) -> subprocess.CompletedProcess[str]:
        """A script that has the API's address, the authority and a token."""
        folder = self.folder / "script"
        folder.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "FITFLEET_URL": self.url}
        environment |= {"FITFLEET_TOKEN": token, "FITFLEET_CA_FILE": str(self.authority.file)}
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=environment, cwd=folder, capture_output=True, text=True, timeout=600,
        )  # fmt: skip


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Postgres, valkey_server: Valkey
) -> Iterator[Doored]:
    """The scheduler serves the API; no worker yet."""
    folder = tmp_path_factory.mktemp("doored")
    authority = Authority(tmp_path_factory.mktemp("authority"), "ours")
    certificate = authority.issue("127.0.0.1")
    name = postgres_server.create_database("fitfleet_template")
    with ExitStack() as stack:
        stack.callback(postgres_server.drop_database, name)
        fronts = [
            TlsFront(postgres_server.port, certificate, is_postgres=True),
            TlsFront(valkey_server.port, certificate),
        ]
        for front in fronts:
            stack.callback(front.close)
        places = {place: str(folder / "shared" / place) for place in ("storage", "data_root")}
        for place in places.values():
            Path(place).mkdir(parents=True)
        password = f"fitfleet:{postgres_server.password}"
        settings = Settings(
            database_url=f"postgresql://{password}@127.0.0.1:{fronts[0].port}/{name}"
            f"?sslmode=verify-full&sslrootcert={authority.file}",
            broker_url=f"rediss://:{valkey_server.password}@127.0.0.1:{fronts[1].port}/3"
            f"?ssl_ca_certs={authority.file}",
            message_key="the-key-of-messages-0123456789abcdef",
            logs=str(folder / "logs"),
            **places,
        )
        doored = Doored(folder, settings, authority)
        stack.callback(doored.database.dispose)
        stack.enter_context(doored.stack)
        doored.start(
            "scheduler", settings.to_environment(),
            "scheduler", "--api", "127.0.0.1:0", "--certificate", str(certificate),
        )  # fmt: skip
        until(lambda: "a host joins with" in doored.log("scheduler"))
        doored.url = re.findall(r"API: (https://\S+)", doored.log("scheduler"))[0]
        yield doored


@pytest.fixture(scope="module")
def joined(fleet: Doored) -> subprocess.Popen[bytes]:
    """A host has joined, and taken the job that waited for one."""
    with ff.Fleet(fleet.settings, Database(fleet.settings.database_url)) as admin:
        with pytest.warns(UserWarning, match="no worker is running yet"):
            waiting = admin.submit(**{**direct_job(), "experiment": "waiting"})
        began, ca = time.monotonic(), str(fleet.authority.file)
        words = ["join", fleet.url, "--token", fleet.token("host", Scope.WORK), "--ca", ca]
        process = fleet.start("join", {}, *words, "--label", "zone=a")
        until(lambda: fleet.has_slot() or process.poll() is not None)
        print(f"a slot {time.monotonic() - began:.1f} s after `fitfleet join`", end="")
        assert process.poll() is None, fleet.log("join")
        until(lambda: waiting.refresh().attempt == 1)
        print(f", its first job begins after {time.monotonic() - began:.1f} s")
    return process


def direct_job() -> dict[str, Any]:
    """What SCRIPT submits."""
    x = np.linspace(-1, 1, 256, dtype="float32").reshape(64, 4)
    return {
        "model": ff.Sequential(
            [ff.layers.Input((4,)), ff.layers.Dense(3), ff.layers.Dense(1)]
        ),
        "dataset": (x, x.sum(axis=1, keepdims=True)),
        "optimizer": "adam", "loss": "mse", "metrics": ["mae"], "epochs": 3, "seed": 4,
        "experiment": "by-api", "validation_split": 0.25, "requires": {"zone": "a"},
    }  # fmt: skip


def test_a_script_with_a_url_and_a_token_gets_the_numbers_of_a_direct_one(
    fleet: Doored, joined: subprocess.Popen[bytes]
) -> None:
    done = fleet.run(SCRIPT, fleet.token("ana", Scope.SUBMIT))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["best"], said["compared"]) == (said["id"], 1)
    with ff.Fleet(fleet.settings, Database(fleet.settings.database_url)) as admin:
        assert admin.submit(**direct_job()).id == said["id"]
        again = admin.submit(**direct_job(), again=True)
        admin.wait(again, timeout_s=300, raise_on_failure=True)
        assert again.row.content_hash == said["hash"]
        assert again.history.to_dict("list") == said["history"]
        weights = {name: array.tolist() for name, array in again.weights().items()}
        assert weights == said["weights"]
    check_secrets(fleet, done.stdout + done.stderr)


def test_a_script_sweeps_predicts_and_combines_without_the_database(
    fleet: Doored, joined: subprocess.Popen[bytes]
) -> None:
    done = fleet.run(SWEEPING, fleet.token("eve", Scope.SUBMIT))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["progress"]["complete"], said["progress"]["is_done"]) == (2, True)
    assert said["rows"] == 2 and said["far"] == said["here"]
    assert sum(said["members"].values()) == pytest.approx(1.0)
    assert said["score"] <= said["single"]
    with ff.Fleet(fleet.settings, Database(fleet.settings.database_url)) as admin:
        sweep = admin.resume_sweep("swept")
        assert sweep.best_params["units"] == said["best"]
        x = np.linspace(-1, 1, 256, dtype="float32").reshape(64, 4)
        data = (x, x.sum(axis=1, keepdims=True))
        assert sweep.best.evaluate(data, where="fleet") == said["measured"]
    check_secrets(fleet, done.stdout + done.stderr)


def test_a_token_of_another_scope_joins_and_submits_nothing(fleet: Doored) -> None:
    refused = fleet.run(SCRIPT, fleet.token("host", Scope.WORK))
    assert "is of scope work; this needs one of scope read" in refused.stderr
    environment = {"FITFLEET_TOKEN": fleet.token("ana", Scope.SUBMIT)}
    ca = str(fleet.authority.file)
    joining = fleet.start("refused", environment, "join", fleet.url, "--ca", ca)
    assert joining.wait(60) == 2
    (line,) = fleet.log("refused").splitlines()
    assert "is of scope submit; this needs one of scope work" in line


def test_a_certificate_of_an_unknown_authority_is_refused_before_the_token_is_sent(
    fleet: Doored,
) -> None:
    with pytest.raises(ff.FitfleetError, match="its certificate is not trusted") as refused:
        ff.connect(fleet.url, token=fleet.token("ana", Scope.READ))
    assert "\n" not in str(refused.value) and "ca_file=" in str(refused.value)


def test_a_host_that_does_not_see_the_storage_does_not_join(fleet: Doored) -> None:
    environment = {"FITFLEET_TOKEN": fleet.token("host", Scope.WORK)}
    ca, away = str(fleet.authority.file), str(fleet.folder / "not-mounted")
    joining = fleet.start(
        "unmounted", environment, "join", fleet.url, "--ca", ca, "--storage", away
    )
    assert joining.wait(60) == 3
    assert "does not exist; fix: mount or create it" in fleet.log("unmounted")


def test_no_secret_is_in_a_log_or_a_title(fleet: Doored, joined: subprocess.Popen[bytes]) -> None:
    processes = [psutil.Process(joined.pid), *psutil.Process(joined.pid).children(recursive=True)]
    titles = ""
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # one that has just ended shows no title either
            titles += " ".join(process.cmdline())
    check_secrets(fleet, titles)


def check_secrets(fleet: Doored, more: str) -> None:
    """In nothing that was printed is a password, the key of messages or a token's secret."""
    text = more + "".join(path.read_text() for path in fleet.folder.glob("*.log"))
    text += "".join(path.read_text() for path in (fleet.folder / "logs").rglob("*.log"))
    url = fleet.settings.database_url
    secrets = [url.partition("fitfleet:")[2].partition("@")[0], fleet.settings.message_key]
    secrets += [fleet.settings.broker_url.partition("://:")[2].partition("@")[0]]
    assert [secret for secret in secrets if secret in text] == []
    assert re.findall(r"ff_[0-9a-f]{8}_", text) == []

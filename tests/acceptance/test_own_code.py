"""A newcomer's script with code of its own, in itself and in modules: it simply works."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

MODULE = """
import sys
import keras
from own_factor import FACTOR

def scaled(y, p):
    return FACTOR * keras.ops.mean(keras.ops.square(y - p), -1)

class Doubled(keras.layers.Layer):
    def __init__(self, by=2.0, **more):
        super().__init__(**more)
        self.by = by
    def build(self, shape):
        if FACTOR == -1.0:
            raise ValueError("at build")
    def call(self, x):
        return self.by * x
    def get_config(self):
        return {**super().get_config(), "by": self.by}

def scores(y, p, context):
    folders = [place for place in sys.path if "/cache/code/" in place]
    return {"factor": float(FACTOR), "folders": float(len(folders))}
"""

SCRIPT = """
import json
import warnings
import keras
import numpy as np
import fitfleet as ff
import own_module
from keras import layers, ops

ALPHA = 3.0

def loss(y, p):
    return ALPHA * ops.mean(ops.square(y - p), -1)

def rate(epoch, before):
    return 0.01 / (1 + epoch)

def squared(x):
    return ops.square(x)

class Told(keras.callbacks.Callback):
    def __init__(self, word="told"):
        super().__init__()
        self.word = word
    def on_epoch_end(self, epoch, logs=None):
        print(self.word, epoch)

def broken(y, p):
    raise ValueError("broken on purpose")

def score(y, p, context):
    return {"of_script": 2.0}

def model(*hidden):
    return keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(1)])

def rows():
    x = np.arange(64.0).reshape(16, 4) / 64
    for start in (0, 8):
        yield x[start:start + 8], x[start:start + 8].sum(1, keepdims=True)

def submit(**job):
    common = dict(dataset="data.npz", optimizer="sgd", loss="mse", epochs=2, batch_size=16)
    return fleet.submit(**{"model": model(), **common, **job})

def factor(value):
    with open("own_factor.py", "w") as file:
        file.write(f"FACTOR = {value}")

def failing(value):
    # Own code that fails, then another version of it.
    factor(value)
    wrong = submit(model=model(own_module.Doubled(3.0)), loss=own_module.scaled)
    factor(4.0)
    after = submit(model=model(own_module.Doubled(3.0)), loss=own_module.scaled,
                   validation_split=0.5, evaluators=["own_module:scores"], params={"after": value})
    return wrong, after

factor(1.0)
with ff.local(1, threads=1) as fleet:
    hidden = [layers.Dense(3, activation=squared), own_module.Doubled(3.0)]
    jobs = {
        "plain": submit(),
        "script": submit(loss=loss, metrics=[squared_error := own_module.scaled]),
        "layers": submit(model=model(*hidden), evaluators=[score, "own_module:scores"],
                         validation_split=0.5),
        "callbacks": submit(callbacks=[keras.callbacks.LearningRateScheduler(rate), Told("yes")]),
        "failed": submit(loss=broken),
        "rows": submit(dataset=rows),
        "rows given": submit(dataset=rows()),
        "one": submit(loss=own_module.scaled),
        "named": submit(model=ff.Sequential([
            ff.layers.Input((4,)), ff.custom("own_module:Doubled", by=3.0), ff.layers.Dense(1)]),
            loss=ff.custom("own_module:scaled")),
    }
    factor(2.0)
    jobs["two"] = submit(loss=own_module.scaled)
    factor(1.0)
    jobs["reused"] = submit(loss=own_module.scaled)
    for where, value in {"import": "1 / 0", "build": "-1.0", "fit": "'text'"}.items():
        jobs[f"wrong at {where}"], jobs[f"after {where}"] = failing(value)
    fleet.wait()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        submit(loss=broken)
    x = np.load("data.npz")["x_train"][:4]
    results = {name: {
        "status": job.status, "reused": job.is_reused, "scores": job.scores,
        "loss": job.history["loss"].tolist() if job.status == "SUCCEEDED" else None,
        "error": str(job.error), "code": job.code, "log": job.logs(),
    } for name, job in jobs.items()}
    loaded = jobs["layers"].load_model()
    plain = model(*hidden)
    plain.set_weights(loaded.get_weights())
    results["equal"] = bool(np.array_equal(plain(x), loaded(x)))
    results["warnings"] = [str(warning.message) for warning in caught]
    print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script says of its jobs."""
    folder = tmp_path_factory.mktemp("project")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    np.savez(folder / "data.npz", x_train=x, y_train=x[:, :1])
    (folder / "own_module.py").write_text(MODULE)
    (folder / "own_factor.py").write_text("FACTOR = 1.0")
    (folder / "train.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def test_all_forms_of_user_code_run(results: dict[str, Any]) -> None:
    wanted = ("plain", "script", "layers", "callbacks", "one", "two", "reused", "rows")
    assert {name: results[name]["status"] for name in wanted} == dict.fromkeys(wanted, "SUCCEEDED")
    assert results["script"]["loss"][0] == pytest.approx(3 * results["plain"]["loss"][0], rel=0.2)
    assert results["layers"]["scores"] == {"of_script": 2.0, "factor": 1.0, "folders": 1.0}
    assert results["callbacks"]["log"].count("yes") == 2
    assert results["callbacks"]["loss"][1] != results["plain"]["loss"][1]
    assert results["rows"]["loss"] == results["rows given"]["loss"]
    assert "def rows" in results["rows"]["code"]["__main__.py"]
    assert results["equal"], "load_model gives the layers of the snapshot"


def test_an_edited_module_makes_another_job(results: dict[str, Any]) -> None:
    assert results["two"]["loss"][0] == pytest.approx(2 * results["one"]["loss"][0], rel=0.2)
    assert results["reused"]["reused"] and not results["two"]["reused"]
    assert results["two"]["code"]["own_factor.py"] == "FACTOR = 2.0"
    assert results["one"]["code"]["own_factor.py"] == "FACTOR = 1.0"


def test_after_a_failure_another_version_gets_its_own_code(results: dict[str, Any]) -> None:
    reasons = {"import": "division by zero", "build": "at build", "fit": "TypeError"}
    for where, reason in reasons.items():
        wrong, after = results[f"wrong at {where}"], results[f"after {where}"]
        assert wrong["status"] == "FAILED" and reason in wrong["error"], wrong["error"]
        assert after["status"] == "SUCCEEDED", after["error"]
        assert after["scores"] == {"factor": 4.0, "folders": 1.0}


def test_a_job_shows_its_code_and_only_that(results: dict[str, Any]) -> None:
    assert results["plain"]["code"] == {}
    assert sorted(results["script"]["code"]) == ["__main__.py", "own_factor.py", "own_module.py"]
    source = results["script"]["code"]["__main__.py"]
    assert "ALPHA = 3.0" in source and "ff.local" not in source and "def score" not in source


def test_a_failure_that_is_there_already_says_how_to_run_it_again(results: dict[str, Any]) -> None:
    assert "broken on purpose" in results["failed"]["error"]
    assert results["failed"]["error"].startswith("user")
    (warning,) = results["warnings"]
    assert "has failed" in warning and "job.retry()" in warning

"""Which way a metric is better: what the specification tells, else the name, else it is asked."""

from __future__ import annotations

from typing import Any

import pytest

import fitfleet as ff
from fitfleet.analysis.direction import direction_of
from fitfleet.db.schema.tables import jobs, metrics
from fitfleet.errors import FitfleetError, SearchError
from fitfleet.spec.parts import compile as compile_parts
from fitfleet.sweeps.design.design import design

FALLING = """
loss val_loss test_loss mse val_mae mean_squared_error kl_divergence val_similarity_loss
val_accuracy_head_loss val_recall_loss acc_loss test_auc_loss false_positives val_error_rate
val_word_error_rate head_mse val_accuracy_loss_1 perplexity
"""
RISING = """
accuracy val_acc sparse_top_k_categorical_accuracy auc val_auc_2 val_cosine_similarity r2
val_mean_io_u test_precision_at_recall head_accuracy val_fbeta f1 true_negatives
"""
UNCERTAIN = """
in_scale val_matthews val_log_likelihood word_error_accuracy accuracy_drop neg_mse dissimilarity
loss_accuracy accuracy_std recall_time lossy
"""

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")


def _spec(**given: Any) -> dict[str, Any]:
    return {
        "loss": compile_parts.losses(given.get("loss", "mse")),
        "metrics": compile_parts.metrics(given.get("metrics")),
        "weighted_metrics": compile_parts.metrics(given.get("weighted_metrics")),
    }


@pytest.mark.parametrize("metric", FALLING.split())
def test_losses_and_errors_are_minimized(metric: str) -> None:
    assert direction_of(metric) == "minimize"


@pytest.mark.parametrize("metric", RISING.split())
def test_accuracies_are_maximized(metric: str) -> None:
    assert direction_of(metric) == "maximize"


@pytest.mark.parametrize("metric", UNCERTAIN.split())
def test_a_name_that_is_not_certain_asks_for_the_direction(metric: str) -> None:
    with pytest.raises(FitfleetError, match=rf"{metric}: it is not known .*give direction="):
        direction_of(metric)
    assert direction_of(metric, "maximize") == "maximize"


def test_a_direction_misspelt_is_refused() -> None:
    with pytest.raises(FitfleetError, match="'minimise' is neither"):
        direction_of("loss", "minimise")


def test_the_class_behind_a_name_counts_not_the_name() -> None:
    named = {"class_name": "MeanSquaredError", "config": {"name": "accuracy"}}
    assert direction_of("val_accuracy", None, [_spec(metrics=[named])]) == "minimize"
    by_output = _spec(
        loss={"error": "mse", "accuracy": "mse"},
        metrics={"error": ["accuracy"], "accuracy": ["mae", {"AUC": {"name": "quality"}}]},
    )
    told = {
        "val_error_loss": "minimize",
        "val_accuracy_loss": "minimize",
        "error_accuracy": "maximize",
        "val_accuracy_mae": "minimize",
        "test_accuracy_quality": "maximize",
    }
    assert {name: direction_of(name, None, [by_output]) for name in told} == told
    counted = _spec(weighted_metrics=[{"Recall": {"name": "hits"}}])
    assert direction_of("val_hits_1", None, [counted]) == "maximize"
    numbered = _spec(metrics=["f1_score", {"Recall": {"name": "hits@0.5"}}])
    for name in ("val_hits@0.5", "val_f1_score.2", "head_f1_score_1.0"):
        assert direction_of(name, None, [numbered]) == "maximize", name


def test_specs_that_do_not_agree_ask_for_the_direction() -> None:
    falls = _spec(metrics=[{"MeanSquaredError": {"name": "quality"}}])
    rises = _spec(metrics=[{"AUC": {"name": "quality"}}])
    assert direction_of("quality", None, [falls, _spec()]) == "minimize"
    with pytest.raises(FitfleetError, match="give direction="):
        direction_of("quality", None, [falls, rises])


def test_a_sweep_takes_the_direction_from_its_metrics() -> None:
    job = {
        "model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(ff.choice([1, 2]))]),
        "dataset": "data.npz",
        "loss": ff.choice(["mse", "mae"]),
        "metrics": [{"MeanSquaredError": {"name": "quality"}}],
    }
    assert design({**job, "objective": "val_quality"}).wanted[0].direction == "minimize"
    with pytest.raises(SearchError, match="val_goodness: it is not known"):
        design({**job, "objective": "val_goodness"})
    with pytest.raises(SearchError, match=r"val_qualtiy: .* did you mean 'val_quality'"):
        design({**job, "objective": "val_qualtiy"})


def test_jobs_are_compared_by_what_they_were_compiled_with(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    named = [{"MeanSquaredError": {"name": "accuracy"}}]
    handles = [
        fleet.submit(**{**job, "seed": i, "metrics": named, "params": {"size": i}})
        for i in range(2)
    ]
    values = {handles[0].id: (5.0, 1.0, 3.0), handles[1].id: (9.0, 2.0, 2.0)}
    with fleet.database.begin() as c:
        for job_id, curve in values.items():
            for epoch, value in enumerate(curve, 1):
                row = {"job_id": job_id, "epoch": epoch, "metric": "accuracy", "value": value}
                c.execute(metrics.insert(), [{**row, "phase": "val"}])
        c.execute(jobs.update().values(status="SUCCEEDED", epoch=3))
    assert fleet.best("line", "val_accuracy") == handles[1]
    assert fleet.best("line", "val_accuracy", at="best") == handles[0]
    assert fleet.best("line", "val_accuracy", direction="maximize", at="best") == handles[1]
    assert list(fleet.compare("line", "val_accuracy", at="best")["val_accuracy"]) == [1.0, 2.0]
    assert list(fleet.rank("line", "val_accuracy")["best"]) == [2.0]

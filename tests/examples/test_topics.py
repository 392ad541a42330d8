"""What each example is there to show, beyond being equal to plain Keras."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cases import compile_arguments
from plain import fit

import fitfleet as ff

Submitted = dict[str, list[tuple[dict[str, Any], ff.Job]]]


@pytest.fixture
def finished(submitted: Submitted) -> Any:
    def of(name: str) -> list[ff.Job]:
        return [handle.wait(240, raise_on_failure=True) for _, handle in submitted[name]]

    return of


@pytest.mark.slow
def test_the_classifier_is_evaluated_on_rows_it_has_not_seen(finished: Any) -> None:
    assert set(finished("sequence_classifier")[0].scores) == {"test_loss", "test_accuracy"}


@pytest.mark.slow
def test_the_words_of_the_texts_are_learned(finished: Any) -> None:
    job = finished("text_classification")[0]
    assert job.history["val_accuracy"].iloc[-1] > 0.9
    good, bad = job.predict(["A brilliant plot, and moving!", "The music was awful and dull"])
    assert good[0] > 0.5 > bad[0]


@pytest.mark.slow
def test_ports_have_their_words_in_the_job(finished: Any) -> None:
    job = finished("tabular")[0]
    assert job.spec.dataset.categories["port"][-1] == "" and job.row.nan_epoch is None


@pytest.mark.slow
def test_a_frozen_base_keeps_its_weights(finished: Any) -> None:
    frozen, tuned = (job.load_model().get_layer("base") for job in finished("transfer_learning"))
    pairs = zip(frozen.get_weights(), tuned.get_weights(), strict=True)
    assert [layer.trainable for layer in (frozen, tuned)] == [False, True]
    assert any(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_regression_metrics_are_recorded_for_training_and_validation(finished: Any) -> None:
    names = {"mse", "mae", "mape", "cosine_similarity"}
    columns = set(finished("regression_metrics")[0].history.columns)
    assert names | {f"val_{name}" for name in names} <= columns


@pytest.mark.slow
def test_classification_metrics_are_recorded(finished: Any) -> None:
    columns = [set(job.history.columns) for job in finished("classification_metrics")]
    assert "binary_accuracy" in columns[0]
    assert {"categorical_accuracy", "top_k_categorical_accuracy"} <= columns[1]
    assert {"sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy"} <= columns[2]


@pytest.mark.slow
def test_the_custom_metric_is_in_the_history(finished: Any) -> None:
    history = finished("custom_metric")[0].history
    assert history["val_within"].between(0, 1).all()


@pytest.mark.slow
def test_the_scale_evaluator_scores_what_the_model_wrote(submitted: Submitted) -> None:
    job, handle = submitted["chorales"][0]
    handle.wait(240, raise_on_failure=True)
    chorales = importlib.import_module("chorales")
    plain = fit(handle.spec, compile_arguments(job), [])
    import h5py

    with h5py.File(handle.spec.dataset.path) as file:
        expected = chorales.in_scale(file["y_test"][()], plain.predictions, {"arguments": {}})
    assert {name: handle.scores[name] for name in expected} == expected
    assert expected["in_scale_bach"] > 0.9  # a chorale in C major does lie in C major


@pytest.mark.slow
def test_callbacks_stop_and_change_the_learning_rate(finished: Any) -> None:
    stop, plateau, schedule = (job.history for job in finished("callbacks"))
    assert len(stop) < 8
    assert plateau["learning_rate"].iloc[-1] < plateau["learning_rate"].iloc[0]
    assert schedule["learning_rate"].is_monotonic_decreasing


@pytest.mark.slow
def test_a_fit_can_be_saved_in_every_form(finished: Any, tmp_path: Path) -> None:
    job = finished("saving")[0]
    weights, whole, legacy, architecture = importlib.import_module("saving").save(job, tmp_path)
    x = np.random.default_rng(1).random((5, 784)).astype("float32")
    expected = job.load_model().predict(x, verbose=0)
    for path in (whole, legacy):
        np.testing.assert_array_equal(keras.models.load_model(path).predict(x, verbose=0), expected)
    model = keras.models.model_from_json(architecture.read_text())
    model.load_weights(weights)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


@pytest.mark.slow
def test_validation_rows_are_the_last_ones(finished: Any) -> None:
    last = finished("validation_split")[0].history.iloc[-1]
    assert last["accuracy"] == 1.0
    assert last["val_accuracy"] == 0.0


@pytest.mark.slow
def test_states_are_carried_only_by_the_stateful_forecast(finished: Any) -> None:
    jobs = finished("forecasting")
    losses = {(job.params["kind"], job.seed): job.scores["test_loss"] for job in jobs}
    assert losses["stateless", 0] != losses["stateful", 0]
    assert losses["stateless", 0] != losses["stateless", 1]


@pytest.mark.slow
def test_text_is_continued_from_a_start(finished: Any) -> None:
    generation = importlib.import_module("text_generation")
    start = generation.zen()[: generation.LENGTH]
    text = generation.generate(finished("text_generation")[0].load_model(), start, 5)
    assert text.startswith(start)
    assert len(text) == len(start) + 5


@pytest.mark.slow
def test_every_recurrent_layer_has_run(finished: Any) -> None:
    layers = {job.params["layer"] for job in finished("recurrent_layers")}
    assert layers >= {"SimpleRNN", "GRU", "LSTM", "RNN", "Bidirectional", "TimeDistributed"}
    assert layers >= {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}

from __future__ import annotations

from typing import Any

import pytest

from fitfleet.data.checks.compatibility import check_fit
from fitfleet.data.info import ArrayInfo, DatasetInfo
from fitfleet.errors import DatasetError, FitfleetError, SpecError
from fitfleet.spec.checks.check import InputFacts, ModelFacts, OutputFacts
from fitfleet.spec.job import Builder, DatasetSpec, JobSpec, ModelSpec


def _facts(**changes: Any) -> ModelFacts:
    values: dict[str, Any] = {
        "parameters": 10,
        "layers": 2,
        "inputs": [InputFacts("input", (8, 3), "float32")],
        "outputs": [OutputFacts("dense", (5,), "softmax")],
        "is_stateful": False,
        "batch_size": None,
    }
    return ModelFacts(**{**values, **changes})


def _array(*shape: int, low: float = 0, high: float = 1, dtype: str = "float32") -> ArrayInfo:
    return ArrayInfo(shape, dtype, 0, low, high)


def _info(**changes: Any) -> DatasetInfo:
    values: dict[str, Any] = {
        "fingerprint": "f",
        "dataset": DatasetSpec(path="a.h5"),
        "arrays": {},
        "rows": 64,
        "x": _array(64, 8, 3),
        "y": _array(64, 5),
    }
    return DatasetInfo(**{**values, **changes})


def _spec(**changes: Any) -> JobSpec:
    values: dict[str, Any] = {
        "model": ModelSpec(config={}),
        "dataset": DatasetSpec(path="a.h5"),
        "optimizer": {"class_name": "Adam", "config": {}},
        "loss": "categorical_crossentropy",
    }
    return JobSpec(**{**values, **changes})


def test_what_fits_passes_without_a_word() -> None:
    assert check_fit(_spec(), _facts(), _info()) == []


def test_values_that_are_infinite_as_the_floatx_are_warned_of() -> None:
    info = _info(arrays={"x_train": _array(64, 8, 3, low=-1e300, dtype="float64")})
    (line,) = check_fit(_spec(), _facts(), info)
    assert line == (
        "dataset: array 'x_train' contains values from -1e+300 to 1, which are infinite as float32"
    )
    assert check_fit(_spec(dtype_policy="float64"), _facts(), info) == []


def test_a_model_that_adds_its_losses_needs_no_labels() -> None:
    assert check_fit(_spec(loss=None), _facts(), _info(y=None)) == []
    assert check_fit(_spec(loss=None), _facts(), _info(y=[_array(64, 2), _array(64)])) == []
    with pytest.raises(DatasetError, match="has no labels"):
        check_fit(_spec(), _facts(), _info(y=None))
    own = ModelSpec(builder=Builder(path="models:build", arguments={}))
    assert check_fit(_spec(model=own, metrics=["mae"]), _facts(), _info(y=None)) == []
    with pytest.raises(SpecError, match=r"^class_weight: goes with labels"):
        check_fit(_spec(model=own, class_weight={"0": 2.0}), _facts(), _info(y=None))


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({"metrics": ["mae"]}, None),
        ({"weighted_metrics": ["mae"]}, None),
        ({"class_weight": {"0": 2.0}}, None),
        ({}, _array(64)),
    ],
)
def test_what_goes_with_labels_is_refused_without_them(changes: Any, weights: Any) -> None:
    """Keras drops weights then, without a word."""
    with pytest.raises(SpecError, match="goes with labels, and the dataset has none"):
        check_fit(_spec(loss=None, **changes), _facts(), _info(y=None, sample_weight=weights))


def test_an_unknown_model_is_not_judged() -> None:
    assert check_fit(_spec(), _facts(inputs=[], outputs=[]), _info(x=_array(64, 1))) == []


@pytest.mark.parametrize("shape", [(64, 8), (64, 8, 4), (64, 7, 3), (64,), (64, 8, 3, 2)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match=r"dataset.x: has rows of shape .* takes \(8, 3\)"):
        check_fit(_spec(), _facts(), _info(x=_array(*shape)))


def test_free_dimensions_take_any_size() -> None:
    facts = _facts(inputs=[InputFacts("input", (None, 3), "float32")])
    assert check_fit(_spec(), facts, _info()) == []
    with pytest.raises(DatasetError, match=r"takes \(any, 3\)"):
        check_fit(_spec(), facts, _info(x=_array(64, 8, 4)))


@pytest.mark.parametrize(("shape", "wanted"), [((64, 8), (8, 1)), ((64, 8, 1), (8,))])
def test_a_last_dimension_of_one_may_be_left_out(
    shape: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    facts = _facts(inputs=[InputFacts("input", wanted, "float32")])
    assert check_fit(_spec(), facts, _info(x=_array(*shape))) == []


def test_validation_and_test_arrays_are_held_to_the_same() -> None:
    for part in ("val", "test"):
        changes = {f"x_{part}": _array(4, 8, 2), f"y_{part}": _array(4, 5), f"{part}_rows": 4}
        with pytest.raises(DatasetError, match=f"dataset.x_{part}"):
            check_fit(_spec(), _facts(), _info(**changes))


def test_inputs_are_matched_by_name() -> None:
    facts = _facts(inputs=[InputFacts("a", (2,), "float32"), InputFacts("b", (3,), "float32")])
    given = {"b": _array(64, 3), "a": _array(64, 2)}
    assert check_fit(_spec(), facts, _info(x=given)) == []
    assert check_fit(_spec(), facts, _info(x=[given["a"], given["b"]])) == []
    with pytest.raises(DatasetError, match="names 1 arrays, the model has 2 inputs: a, b"):
        check_fit(_spec(), facts, _info(x=given["a"]))
    with pytest.raises(DatasetError, match="has the names a, c; the model's inputs are a, b"):
        check_fit(_spec(), facts, _info(x={"a": given["a"], "c": given["b"]}))


def test_outputs_are_matched_with_their_losses() -> None:
    outputs = [OutputFacts("p", (1,), None), OutputFacts("q", (4,), None)]
    facts = _facts(outputs=outputs)
    labels = {"q": _array(64, high=3, dtype="int64"), "p": _array(64, 1)}
    losses = {"p": "mse", "q": "sparse_categorical_crossentropy"}
    assert check_fit(_spec(loss=losses), facts, _info(y=labels)) == []
    by_order = [labels["p"], labels["q"]]
    assert check_fit(_spec(loss=list(losses.values())), facts, _info(y=by_order)) == []
    with pytest.raises(SpecError, match="mse compares outputs of shape"):
        check_fit(_spec(loss="mse"), facts, _info(y=labels))
    with pytest.raises(DatasetError, match="names 1 arrays, the model has 2 outputs: p, q"):
        check_fit(_spec(loss=losses), facts, _info(y=labels["p"]))


@pytest.mark.parametrize(
    ("loss", "labels", "problem"),
    [
        ("sparse_categorical_crossentropy", _array(64, 5), "one-hot labels go with"),
        ("sparse_categorical_crossentropy", _array(64, high=5, dtype="int64"), "numbers 0 to 4"),
        ("sparse_categorical_crossentropy", _array(64, low=-1, dtype="int64"), "has -1 to 1"),
        ("categorical_crossentropy", _array(64, high=4, dtype="int64"), "class numbers go with"),
        ("categorical_crossentropy", _array(64, 1, high=4, dtype="int64"), "class numbers go"),
        ("categorical_crossentropy", _array(64, 4), r"\(5,\) with dataset.y of shape \(4,\)"),
        ("categorical_crossentropy", _array(64, 5, high=2), "labels from 0 to 1"),
        ("binary_crossentropy", _array(64, 5, low=-1), "expects labels from 0 to 1"),
        ("mse", _array(64), r"mse compares outputs of shape \(5,\)"),
        ({"class_name": "MeanSquaredError", "config": {}}, _array(64, 1), "MeanSquaredError"),
        (
            {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
            _array(64, high=7, dtype="int32"),
            "SparseCategoricalCrossentropy with 5 outputs",
        ),
    ],
)
def test_labels_that_the_loss_cannot_take(loss: Any, labels: ArrayInfo, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        check_fit(_spec(loss=loss), _facts(), _info(y=labels))


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("sparse_categorical_crossentropy", _array(64, high=4, dtype="uint8")),
        ("sparse_categorical_crossentropy", _array(64, 1, high=4, dtype="int64")),
        ("SparseCategoricalCrossentropy", _array(64, dtype="bool")),
        (
            {"class_name": "SparseCategoricalCrossentropy", "config": {"ignore_class": -1}},
            _array(64, low=-1, high=4, dtype="int64"),
        ),
        ("mse", _array(64, 5, low=-9, high=9)),
        ({"class_name": "my_loss", "module": "mine", "config": {}}, _array(64, 2)),
    ],
)
def test_labels_that_the_loss_takes(loss: Any, labels: ArrayInfo) -> None:
    assert check_fit(_spec(loss=loss), _facts(), _info(y=labels)) == []


def _metric(name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.metrics", "class_name": name, "config": config}


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("categorical_accuracy", "class numbers: take sparse_categorical_accuracy"),
        ("binary_accuracy", "take sparse_categorical_accuracy"),
        (_metric("TopKCategoricalAccuracy", k=2), "take SparseTopKCategoricalAccuracy"),
        ("f1_score", "make them one-hot and take categorical_crossentropy"),
        ("AUC", "make them one-hot"),
        (_metric("Precision"), "make them one-hot"),
        (_metric("MeanIoU", num_classes=5), "give it sparse_y_pred=False"),
    ],
)
def test_metrics_that_cannot_compare_class_numbers_are_refused(metric: Any, hint: str) -> None:
    info = _info(y=_array(64, low=0, high=4, dtype="int64"))
    loss = "sparse_categorical_crossentropy"
    for part in ("metrics", "weighted_metrics"):
        spec = _spec(loss=loss, **{part: ["accuracy", metric]})
        with pytest.raises(SpecError, match=rf"metrics: \w+ cannot compare an output.*{hint}"):
            check_fit(spec, _facts(), info)


@pytest.mark.parametrize(
    ("loss", "metric", "output", "y"),
    [
        ("sparse_categorical_crossentropy", "accuracy", (5,), (64,)),
        ("sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", (5,), (64, 1)),
        (
            "sparse_categorical_crossentropy",
            _metric("MeanIoU", num_classes=5, sparse_y_pred=False),
            (8, 8, 5),
            (64, 8, 8),
        ),
        ("categorical_crossentropy", "f1_score", (5,), (64, 5)),
        ("binary_crossentropy", "AUC", (1,), (64,)),
        ("binary_crossentropy", _metric("F1Score", average="macro"), (1,), (64, 1)),
        ("mse", "cosine_similarity", (5,), (64, 5)),
        ("quantiles", "mae", (5,), (64, 1)),  # of a loss of the user's own
        ("mse", {"module": "mine", "class_name": "Own", "config": {}}, (5,), (64, 5)),
    ],
)
def test_metrics_that_can_compare_the_labels_pass(
    loss: str, metric: Any, output: tuple[int, ...], y: tuple[int, ...]
) -> None:
    facts = _facts(outputs=[OutputFacts("dense", output, "softmax")])
    info = _info(y=_array(*y, dtype="int64" if "sparse" in loss else "float32"))
    assert check_fit(_spec(loss=loss, metrics=[metric]), facts, info) == []


def test_an_f1_score_adds_no_last_dimension_to_labels() -> None:
    facts = _facts(outputs=[OutputFacts("dense", (1,), "sigmoid")])
    spec = _spec(loss="binary_crossentropy", metrics=["f1_score"])
    with pytest.raises(SpecError, match="store them with a last dimension of 1"):
        check_fit(spec, facts, _info(y=_array(64)))


def test_metrics_of_several_outputs_are_held_to_their_own() -> None:
    outputs = [OutputFacts("a", (5,), "softmax"), OutputFacts("b", (2,), "linear")]
    info = _info(y=[_array(64, low=0, high=4, dtype="int64"), _array(64, 2)])
    loss = ["sparse_categorical_crossentropy", "mse"]
    for good in ([["accuracy"], ["mae"]], {"b": ["mae"]}, None):
        assert check_fit(_spec(loss=loss, metrics=good), _facts(outputs=outputs), info) == []
    for bad in ([["mae"], ["mae"]], {"a": "mae"}):
        with pytest.raises(SpecError, match="MeanAbsoluteError cannot compare an output of shape"):
            check_fit(_spec(loss=loss, metrics=bad), _facts(outputs=outputs), info)


def test_an_output_without_a_loss_needs_no_labels() -> None:
    outputs = [OutputFacts("a", (5,), "softmax"), OutputFacts("b", (2,), "linear")]
    for loss, y in ((["mse", None], _array(64, 5)), ([None, "mse"], _array(64, 2))):
        assert check_fit(_spec(loss=loss), _facts(outputs=outputs), _info(y=y)) == []
    for loss in (["mse", "mse"], "mse", {"a": "mse", "b": None}):
        with pytest.raises(DatasetError, match=r"names 1 arrays, the model has 2 outputs: a, b"):
            check_fit(_spec(loss=loss), _facts(outputs=outputs), _info(y=_array(64, 5)))
    with pytest.raises(SpecError, match="compares outputs of shape"):
        check_fit(_spec(loss=[None, "mse"]), _facts(outputs=outputs), _info(y=_array(64, 5)))


def test_a_regression_may_leave_out_the_last_dimension() -> None:
    facts = _facts(outputs=[OutputFacts("dense", (1,), None)])
    assert check_fit(_spec(loss="mse"), facts, _info(y=_array(64))) == []


def test_class_numbers_as_floats_are_warned_of() -> None:
    spec = _spec(loss="sparse_categorical_crossentropy")
    assert "expects integers" in check_fit(spec, _facts(), _info(y=_array(64)))[0]


def test_a_dataset_without_labels_is_refused() -> None:
    with pytest.raises(DatasetError, match="has no labels"):
        check_fit(_spec(), _facts(), _info(y=None))


@pytest.mark.parametrize(
    ("changes", "info", "problem"),
    [
        ({"batch_size": 48}, {}, "64 training rows are not a multiple of 48"),
        ({"validation_split": 0.3}, {}, "44 training rows"),
        ({"batch_size": 4, "validation_split": 0.3}, {"rows": 70}, "49 training rows"),
        (
            {},
            {"x_val": _array(5, 8, 3), "y_val": _array(5, 5), "val_rows": 5},
            "5 validation rows",
        ),
        ({}, {"x_test": _array(3, 8, 3), "y_test": _array(3, 5), "test_rows": 3}, "3 test rows"),
        ({"shuffle": True}, {}, "needs shuffle=False"),
    ],
)
def test_stateful_models_need_whole_batches(
    changes: dict[str, Any], info: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        check_fit(_spec(**{"shuffle": False, **changes}), _facts(is_stateful=True), _info(**info))


@pytest.mark.parametrize(
    ("changes", "facts", "problem"),
    [
        ({"batch_size": 16}, {"batch_size": 8}, "16, but the model's Input fixes it to 8"),
        ({"validation_split": 0.999}, {}, "leaves 0 for training and 64"),
        ({"class_weight": {"cat": 1.0}}, {}, "'cat' is not a class number"),
        ({"class_weight": {"5": 1.0}}, {}, "class 5 is not among the classes 0 to 4"),
    ],
)
def test_options_that_do_not_go_with_the_data(
    changes: dict[str, Any], facts: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        check_fit(_spec(**changes), _facts(**facts), _info())


@pytest.mark.parametrize(
    ("weights", "loss", "y", "problem"),
    [
        ({"4": 5.0}, "sparse_categorical_crossentropy", (64, 8), "give sample weights, one for"),
        ({"4": 5.0}, "categorical_crossentropy", (64, 8, 5), "labels of several steps"),
    ],
)
def test_class_weights_go_with_one_class_a_row(
    weights: dict[str, float], loss: str, y: tuple[int, ...], problem: str
) -> None:
    low_high = {"low": 0, "high": 1 if "sparse" not in loss else 4}
    output = OutputFacts("dense", (8, 5) if 8 in y else (5,), "softmax")
    info = _info(y=_array(*y, **low_high, dtype="int64"))
    with pytest.raises(SpecError, match=problem):
        check_fit(_spec(loss=loss, class_weight=weights), _facts(outputs=[output]), info)


def test_class_weights_of_any_labels_of_one_class_a_row_pass() -> None:
    """Keras gives 1 to a class that has no weight, and rounds what is no whole number."""
    number = _info(y=_array(64, 1, low=0, high=4, dtype="int64"))
    for weights in ({"4": 2.0}, {"0": 2.0}, {"1": 0.5, "2": 3.0}):
        spec = _spec(loss="sparse_categorical_crossentropy", class_weight=weights)
        assert check_fit(spec, _facts(), number) == []
    facts = _facts(outputs=[OutputFacts("dense", (1,), "linear")])
    for labels in (
        _array(64, low=0, high=float("inf")),
        _array(64, low=-1, high=1),
        _array(64, 1, low=0, high=1, dtype="bool"),
    ):
        assert check_fit(_spec(loss="mse", class_weight={"0": 2.0}), facts, _info(y=labels)) == []
    with pytest.raises(SpecError, match="goes with one array of labels"):
        info = _info(y={"dense": _array(64, 1, low=0, high=1)})
        check_fit(_spec(loss="mse", class_weight={"0": 2.0}), facts, info)


def test_class_weights_of_labels_by_the_step_are_refused_whatever_they_hold() -> None:
    steps = _array(64, 8, 5, low=0, high=float("nan"))
    facts = _facts(outputs=[OutputFacts("dense", (8, 5), "softmax")])
    with pytest.raises(SpecError, match="labels of several steps give sample weights"):
        check_fit(_spec(class_weight={"4": 2.0}), facts, _info(y=steps))


def test_weights_are_given_once() -> None:
    info = _info(sample_weight=_array(64))
    with pytest.raises(SpecError, match="sample weights already"):
        check_fit(_spec(class_weight={"0": 2.0}), _facts(), info)
    with pytest.raises(DatasetError, match="contains the weight -1"):
        check_fit(_spec(), _facts(), _info(sample_weight=_array(64, low=-1)))


def test_a_split_beside_validation_arrays_is_warned_of() -> None:
    info = _info(x_val=_array(5, 8, 3), y_val=_array(5, 5), val_rows=5)
    assert "is ignored" in check_fit(_spec(validation_split=0.2), _facts(), info)[0]


def test_the_rows_of_a_fold_decide_about_batches() -> None:
    dataset = DatasetSpec(path="a.h5", fold={"kind": "kfold", "k": 4, "index": 0})
    facts = _facts(is_stateful=True)
    assert check_fit(_spec(shuffle=False, batch_size=16), facts, _info(dataset=dataset)) == []
    with pytest.raises(FitfleetError, match="48 training rows"):
        check_fit(_spec(shuffle=False, batch_size=32), facts, _info(dataset=dataset))


@pytest.mark.parametrize("role", ["x", "x_val", "x_test"])
@pytest.mark.parametrize(("low", "high", "said"), [(0, 50, "50"), (-1, 49, "-1")])
def test_codes_that_an_embedding_does_not_know_are_refused(
    role: str, low: float, high: float, said: str
) -> None:
    facts = _facts(inputs=[InputFacts("input", (8,), "int32", codes=50)])
    good = _array(64, 8, low=0, high=49, dtype="int32")
    assert check_fit(_spec(), facts, _info(x=good)) == []
    bad = _array(64, 8, low=low, high=high, dtype="int32")
    with pytest.raises(
        DatasetError, match=f"{role}: contains the code {said}, the Embedding knows"
    ):
        check_fit(_spec(), facts, _info(**{"x": good, role: bad}))


@pytest.mark.parametrize(
    ("output", "shape"),
    [
        ((5, 2), (64, 1)),
        ((5, 2), (64, 5)),
        ((5, 2), (64, 5, 1)),
        ((1, 2), (64,)),
        ((4, 5, 2), (64, 1, 1)),
        ((4, 5, 2), (64, 4, 1)),
        ((4, 1, 2), (64, 4)),
        ((2,), (64,)),
        ((2,), (64, 1)),
    ],
)
def test_weights_are_one_a_row_or_one_a_step(
    output: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    facts = _facts(outputs=[OutputFacts("dense", output, "linear")])
    info = _info(y=_array(64, *output), sample_weight=_array(*shape))
    assert check_fit(_spec(loss="mse"), facts, info) == []


@pytest.mark.parametrize("loss", ["ctc", {"class_name": "Dice", "config": {}}])
def test_a_loss_of_one_value_a_row_takes_one_weight_a_row(loss: Any) -> None:
    facts = _facts(outputs=[OutputFacts("dense", (5, 2), "linear")])
    info = _info(y=_array(64, 5, 2), sample_weight=_array(64))
    assert check_fit(_spec(loss=loss), facts, info) == []


@pytest.mark.parametrize(
    ("output", "shape"),
    [
        ((5, 2), (64,)),  # Keras would weigh steps by rows where a batch has 5 rows
        ((4, 5, 2), (64, 4)),
        ((5, 2), (64, 7)),
        ((5, 2), (64, 5, 2)),
        ((5,), (64, 5)),
        ((1,), (64, 3)),
        ((5, 2), (64, 1, 5)),
    ],
)
def test_weights_of_another_shape_are_refused(
    output: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    facts = _facts(outputs=[OutputFacts("dense", output, "linear")])
    info = _info(y=_array(64, *output), sample_weight=_array(*shape))
    with pytest.raises(DatasetError, match="the output 'dense' takes "):
        check_fit(_spec(loss="mse"), facts, info)


def test_weights_an_output_are_held_to_their_own_output() -> None:
    outputs = [OutputFacts("a", (5, 2), "linear"), OutputFacts("b", (3,), "linear")]
    y = [_array(64, 5, 2), _array(64, 3)]
    for weights in ([_array(64, 5), _array(64)], {"b": _array(64), "a": _array(64, 1)}):
        info = _info(y=y, sample_weight=weights)
        assert check_fit(_spec(loss="mse"), _facts(outputs=outputs), info) == []
    info = _info(y=y, sample_weight={"a": _array(64, 1)})
    with pytest.raises(DatasetError, match="has the names a; the model's outputs are a, b"):
        check_fit(_spec(loss="mse"), _facts(outputs=outputs), info)
    info = _info(y=y, sample_weight=[_array(64, 1), _array(64, 5)])
    with pytest.raises(DatasetError, match="output 'b' takes"):
        check_fit(_spec(loss="mse"), _facts(outputs=outputs), info)


def test_a_class_number_that_is_missing_is_refused() -> None:
    spec = _spec(loss="sparse_categorical_crossentropy")
    labels = ArrayInfo((64,), "float32", 2, 0, 4)
    with pytest.raises(DatasetError, match=r"contains 2 NaN where .* expects class numbers"):
        check_fit(spec, _facts(), _info(y=labels))


def test_a_batch_larger_than_the_memory_is_refused() -> None:
    info = _info()
    assert check_fit(_spec(), _facts(), info, memory_bytes=32 * 8 * 3 * 4) == []
    with pytest.raises(SpecError, match=r"a batch of 64 rows of dataset\.x is 6,144 bytes"):
        check_fit(_spec(batch_size=1000), _facts(), info, memory_bytes=32 * 8 * 3 * 4)


@pytest.mark.parametrize("role", ["x_val", "x_test"])
def test_a_batch_of_large_windows_that_are_held_out_is_refused(role: str) -> None:
    """They are of another size than those of training, and so may their batches be."""
    rows = {"x_val": "val_rows", "x_test": "test_rows"}[role]
    info = _info(**{role: _array(50, 8, 3), rows: 50})
    bound = 32 * 8 * 3 * 4
    assert check_fit(_spec(), _facts(), info, memory_bytes=bound) == []
    larger = _spec(validation_batch_size=40)
    with pytest.raises(SpecError, match=rf"validation_batch_size: a batch of 40 rows of .*{role}"):
        check_fit(larger, _facts(), info, memory_bytes=bound)
    assert check_fit(larger, _facts(), info, memory_bytes=bound * 2) == []


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        ({"epochs": 4, "validation_freq": 2}, None),
        ({"epochs": 4, "validation_freq": [1, 4]}, None),
        ({"epochs": 5, "validation_freq": 2}, "validation_freq: 2 leaves epoch 5, the last,"),
        ({"epochs": 5, "validation_freq": [1, 4]}, "[1, 4] leaves epoch 5, the last, without"),
    ],
)
def test_a_last_epoch_without_a_validation_is_warned_of(given: Any, warning: str | None) -> None:
    lines = check_fit(_spec(validation_split=0.25, **given), _facts(), _info())
    assert lines == [] if warning is None else warning in lines[0]
    (ignored,) = check_fit(_spec(**given), _facts(), _info())
    assert ignored == "validation_freq: is ignored, because there are no validation rows"


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_a_callback_that_watches_validation_needs_rows_of_it(name: str) -> None:
    def watching(monitor: str, **more: Any) -> JobSpec:
        config = {"monitor": monitor}
        return _spec(callbacks=[{"class_name": name, "config": config}], **more)

    with pytest.raises(SpecError, match=r"'val_loss' needs validation rows.*watch 'loss'"):
        check_fit(watching("val_loss"), _facts(), _info())
    with pytest.raises(SpecError, match="'val_loss' needs validation rows"):
        check_fit(_spec(callbacks=[{"class_name": name, "config": {}}]), _facts(), _info())
    assert check_fit(watching("loss"), _facts(), _info()) == []
    assert check_fit(watching("val_loss", validation_split=0.5), _facts(), _info()) == []
    validation = {"x_val": _array(16, 8, 3), "y_val": _array(16, 5)}
    assert check_fit(watching("val_loss"), _facts(), _info(**validation)) == []

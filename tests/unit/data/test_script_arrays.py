"""What `fit` takes as data is written once to a file of the storage, and loaded from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from fitfleet.data.arrays import Arrays, load
from fitfleet.data.ingest.script_arrays import DataStore, is_in_memory, stored
from fitfleet.errors import DatasetError, SpecError, StorageError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

X = np.random.default_rng(0).normal(size=(10, 3)).astype("f4")
Y = np.arange(10) % 2
W = np.linspace(0, 1, 10, dtype="f4")


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(storage=str(tmp_path / "storage"))


def _loaded(settings: Settings, *given: Any) -> Arrays:
    return load(stored(given[0], settings, *given[1:]), settings)


class Batches:
    """As keras.utils.PyDataset: batches by number."""

    num_batches = 3

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = slice(4 * index, 4 * index + 4)
        return X[rows], Y[rows], W[rows]

    def __len__(self) -> int:
        return 3

    def on_epoch_end(self) -> None: ...


Batches.__name__ = "PyDataset"


def _generator() -> Iterator[tuple[Any, ...]]:
    return (Batches()[index] for index in range(3))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y, W),
        [X, Y, W],
        {"x": X, "y": Y, "sample_weight": W},
        (X.tolist(), Y.tolist(), W.tolist()),
        (pd.DataFrame(X), pd.Series(Y), pd.Series(W)),
        (csr_matrix(X), Y, W),
        (pd.DataFrame(X).convert_dtypes(), pd.Series(Y, dtype="Int64"), W),
        Batches(),
        _generator,
    ],
)
def test_one_dataset_in_every_form(data: Any, settings: Settings) -> None:
    arrays = _loaded(settings, data() if data is _generator else data)
    np.testing.assert_array_equal(arrays.x, X)
    np.testing.assert_array_equal(arrays.y, Y)
    np.testing.assert_allclose(arrays.sample_weight, W)


class Tensor:
    """As torch.Tensor: neither an array nor a sequence of numbers, but what NumPy asks for."""

    def __init__(self, array: Any, requires_grad: bool = False) -> None:
        self._array, self._requires_grad = array, requires_grad

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self._requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self._array, dtype)

    def __len__(self) -> int:
        return len(self._array)


class DataLoader:
    """As torch.utils.data.DataLoader: lists of tensors, in an order of its own at each pass."""

    def __init__(self, *parts: Any, batch_size: int, requires_grad: bool = False) -> None:
        self._parts, self.batch_size, self._has_grad = parts, batch_size, requires_grad
        self.passes = 0

    def collate_fn(self, rows: Any) -> Any:
        raise AssertionError("it is the loader's own")

    def __iter__(self) -> Iterator[list[Tensor]]:
        self.passes += 1
        for start in range(0, len(X), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield [Tensor(part[rows], self._has_grad) for part in self._parts]


def test_a_loader_of_pytorch_is_read_once(settings: Settings) -> None:
    loader = DataLoader(X, Y, W, batch_size=4)
    store, validation = DataStore(settings), DataLoader(X[:3], Y[:3], batch_size=16)
    job = {"dataset": loader, "validation_data": validation}
    first, second = (store.replaced({**job, "seed": seed})["dataset"] for seed in range(2))
    assert first is second and (loader.passes, validation.passes) == (1, 1)
    arrays = load(first, settings)
    np.testing.assert_array_equal(arrays.x, X)
    np.testing.assert_array_equal(arrays.y, Y)
    np.testing.assert_allclose(arrays.sample_weight, W)
    np.testing.assert_array_equal(arrays.x_val, X[:3])
    with pytest.raises(DatasetError, match=r"^dataset: batch 0: .* Tensor that requires grad"):
        stored(DataLoader(X, Y, batch_size=4, requires_grad=True), settings)
    with pytest.raises(DatasetError, match=r"^x: is not an array: .* Tensor that requires grad"):
        stored((Tensor(X, requires_grad=True), Y), settings)


def test_a_dataset_of_pytorch_is_asked_for_its_loader() -> None:
    from fitfleet.spec.datasets.dataset import dataset_spec

    torch = type("Dataset", (), {"__module__": "torch.utils.data.dataset"})
    rows = type("TensorDataset", (torch,), {"__module__": "torch.utils.data.dataset"})
    with pytest.raises(DatasetError, match=r"TensorDataset of PyTorch .* give the DataLoader"):
        dataset_spec(rows())


def test_an_argument_that_no_job_has_is_refused_before_data_are_read(settings: Settings) -> None:
    loader = DataLoader(X, Y, batch_size=4)
    with pytest.raises(SpecError, match=r"verbose: no such argument here: a worker"):
        DataStore(settings).replaced({"dataset": loader, "verbose": 1})
    assert loader.passes == 0


@pytest.mark.parametrize("batch", [lambda x: x, lambda x: (x,), lambda x: (x, None)])
def test_batches_of_x_alone_are_for_a_model_that_adds_its_losses(
    batch: Any, settings: Settings
) -> None:
    data = (batch(X[start : start + 4]) for start in range(0, len(X), 4))
    dataset = stored(data, settings)
    assert dataset.y is None
    np.testing.assert_array_equal(load(dataset, settings).x, X)


def test_batches_that_differ_in_what_they_give_are_refused(settings: Settings) -> None:
    with pytest.raises(DatasetError, match=r"batch 1 has x, the first x, y; give the same"):
        stored(iter([(X, Y), (X,)]), settings)


def test_masked_values_are_refused_for_their_mask_would_be_lost(settings: Settings) -> None:
    masked = np.ma.masked_less(X, X.mean())
    with pytest.raises(DatasetError, match=r"^x: contains \d+ masked values"):
        stored((masked, Y), settings)
    stored((np.ma.masked_array(X), Y), settings)  # nothing is masked


def test_lists_and_dicts_of_arrays_keep_their_structure(settings: Settings) -> None:
    x = {"left/1": X, "right": X[:, 0]}
    arrays = _loaded(settings, (x, [Y, W]), (x, [Y, W], [W, W]))
    assert list(arrays.x) == ["left/1", "right"] == list(arrays.x_val)
    np.testing.assert_array_equal(arrays.x["left/1"], X)
    np.testing.assert_array_equal(arrays.y[1], W)
    np.testing.assert_array_equal(arrays.sample_weight_val[0], W)


def test_weights_beside_the_data_and_validation_of_its_own(settings: Settings) -> None:
    arrays = load(
        stored((X, Y), settings, validation_data=(X[:2], Y[:2]), sample_weight=W), settings
    )
    np.testing.assert_array_equal(arrays.sample_weight, W)
    assert len(arrays.x_val) == 2 and arrays.sample_weight_val is None


def test_one_content_is_one_file(settings: Settings) -> None:
    first = stored((X, Y), settings)
    assert stored((X.copy(order="F"), Y), settings) == first
    others = [stored(data, settings) for data in ((X + 1, Y), (X.astype("f8"), Y), (Y, X[:, 0]))]
    assert len({first.path, *(dataset.path for dataset in others)}) == 4
    files = sorted((Path(settings.storage) / "datasets").iterdir())
    assert [path.suffix for path in files] == [".h5"] * 4
    (Path(settings.storage) / first.path.removeprefix("storage:")).unlink()
    with pytest.raises(DatasetError, match=r"is not in the storage .* submit the arrays again"):
        load(first, settings)


def test_jobs_that_share_data_write_it_once(settings: Settings) -> None:
    data, store = (X, Y), DataStore(settings)
    jobs = [store.replaced({"dataset": data, "seed": seed}) for seed in range(3)]
    assert len({id(job["dataset"]) for job in jobs}) == 1
    assert store.replaced({"dataset": "a.h5", "seed": 1}) == {"dataset": "a.h5", "seed": 1}
    with pytest.raises(DatasetError, match="validation_data: goes with arrays"):
        store.replaced({"dataset": "a.h5", "validation_data": data})


@pytest.mark.parametrize("path", ["../x", "datasets/../../a.h5", f"datasets/{'a' * 64}.pkl", ""])
def test_only_files_of_arrays_are_read_from_the_storage(path: str, settings: Settings) -> None:
    with pytest.raises(DatasetError, match="names no data in the storage"):
        load(DatasetSpec(path=f"storage:{path}"), settings)


def _endless() -> Iterator[tuple[Any, ...]]:
    while True:
        yield X, Y


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (X, r"the ndarray does not say what is x .* of an autoencoder y is x: \(x, x\)"),
        ((X,), "the tuple of 1 does not say"),
        ({"x": X}, r"dataset.y: is missing; .*; \(x, None\) for a model that adds its losses"),
        ((None, Y), "dataset.x: is missing"),
        ({"x": X, "labels": Y}, "dataset.labels: is not one of x, y, sample_weight"),
        ((X, Y.astype(str)), "y: contains '0', not numbers; encode it first"),
        ((X, pd.Series(["cat", "dog"] * 5)), "y: contains 'cat', not numbers"),
        ((pd.DataFrame({"a": Y, "b": ["u"] * 10}), Y), r"contains 'u', .* takes dict\(frame\)"),
        ((np.array([[1], [1, 2]], object), Y[:2]), "rows of different lengths; pad them"),
        (([[1], [1, 2]], Y[:2]), "is not an array|different lengths"),
        ((X, 5), "y: is one number"),
        ((X.astype("c8"), Y), "^x: contains complex64, not real numbers"),
        ((pd.Series(Y.astype("M8[s]")), Y), r"^x: contains datetime64\[s\], not real numbers"),
        (_endless, "has yielded .* and not ended, above the setting memory_bytes"),
        (iter([]), "yielded no batch"),
        (iter(["X"]), "batch 0: is a str, not"),
        (iter([(X, Y), (X[:, :2], Y)]), "batch 1 has x with rows of"),
        (iter(zip(X, Y[:, None], strict=True)), r"has . of x and 1 of y .* if it is one row"),
        (iter([(X[0, 0], Y)]), "not an array of numbers with a row for each sample"),
        (object(), "the object is neither a path nor a mapping"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_way_that_works(
    data: Any, problem: str, settings: Settings
) -> None:
    from fitfleet.spec.datasets.dataset import dataset_spec

    data = data() if data is _endless else data
    with pytest.raises(DatasetError, match=problem) as caught:
        if is_in_memory(data):
            stored(data, settings.replace(memory_bytes=10_000))
        else:
            dataset_spec(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_rows_that_do_not_fit_together_are_refused(settings: Settings) -> None:
    with pytest.raises(DatasetError, match=r"^dataset: x has 10 rows but y has 9"):
        _loaded(settings, (X, Y[:9]))


def test_a_storage_that_cannot_be_written_is_reported(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written there"):
        stored((X, Y), settings.replace(storage=str(tmp_path / "file")))


@pytest.mark.parametrize("data", [(X, None), {"x": X, "y": None}])
def test_labels_may_be_said_to_be_missing(data: Any, settings: Settings) -> None:
    dataset = stored(data, settings)
    assert dataset.y is None
    arrays = load(dataset, settings)
    np.testing.assert_array_equal(arrays.x, X)
    assert arrays.y is None


def test_tuples_inside_a_tuple_are_refused_with_the_way(settings: Settings) -> None:
    batches = iter([(((X, Y), (X, Y)), Y)])
    with pytest.raises(DatasetError, match=r"give their arrays side by side, \(a, b, c, d\)"):
        stored(batches, settings)


def _in_batches(*sizes: int) -> Iterator[tuple[Any, ...]]:
    ends = np.cumsum(sizes)
    return (
        (X[end - size : end], Y[end - size : end]) for size, end in zip(sizes, ends, strict=True)
    )


def test_a_job_has_the_batch_sizes_of_its_dataset_unless_it_says_others(settings: Settings) -> None:
    store, loader = DataStore(settings), DataLoader(X, Y, batch_size=4)
    data = {"dataset": loader, "validation_data": DataLoader(X, Y, batch_size=5)}
    for given, batch, held_out in (
        ({}, 4, 5),
        ({"batch_size": None}, 4, 5),
        ({"batch_size": 2}, 2, 5),
        ({"validation_batch_size": 3}, 4, 3),
    ):
        job = store.replaced({**data, **given})
        assert (job["batch_size"], job["validation_batch_size"]) == (batch, held_out)
    assert loader.passes == 1
    assert DataStore(settings).replaced({"dataset": Batches()})["batch_size"] == 4
    assert "batch_size" not in DataStore(settings).replaced({"dataset": (X, Y)})


@pytest.mark.parametrize("sizes", [(4, 2, 4), (4, 6), (2, 2, 4, 2)])
def test_batches_of_different_sizes_need_a_batch_size(
    sizes: tuple[int, ...], settings: Settings
) -> None:
    with pytest.raises(DatasetError, match=r"batches of different sizes; give batch_size=32"):
        DataStore(settings).replaced({"dataset": _in_batches(*sizes)})
    job = DataStore(settings).replaced({"dataset": _in_batches(*sizes), "batch_size": 8})
    assert job["batch_size"] == 8
    held_out = {"dataset": (X, Y), "validation_data": _in_batches(*sizes)}
    assert "validation_batch_size" not in DataStore(settings).replaced(held_out)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 2),
        ({"epochs": 3}, 6),
        ({"epochs": np.int64(5), "initial_epoch": 2}, 6),
        ({"epochs": 1, "initial_epoch": 1}, 2),  # submit refuses it, when the data are read
    ],
)
def test_of_a_generator_as_many_batches_are_read_as_the_fit_takes(
    given: dict[str, Any], count: int, settings: Settings
) -> None:
    yielded: dict[str, int] = {"x": 0, "val": 0}

    def endless(name: str) -> Iterator[tuple[Any, ...]]:
        while True:
            yielded[name] += 1
            yield X + yielded[name], Y

    data = {"dataset": endless("x"), "validation_data": endless("val")}
    steps = {"steps_per_epoch": 2, "validation_steps": 3}
    job = DataStore(settings).replaced({**data, **steps, **given})
    assert yielded == {"x": count, "val": 3} and job["batch_size"] == 10
    arrays = load(job["dataset"], settings)
    np.testing.assert_array_equal(arrays.x, np.concatenate([X + (n + 1) for n in range(count)]))
    whole = DataStore(settings).replaced({"dataset": Batches(), "steps_per_epoch": 1})
    assert len(load(whole["dataset"], settings).x) == 10, "of a PyDataset all are read"

"""Examples of Keras's gallery, reduced in size, as their scripts give them to `fit`.

Each is trained by a worker and by plain Keras, and the two are equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gallery_adversaries
import gallery_attention
import gallery_dense
import gallery_self_supervised
import gallery_sequences
import gallery_sounds
import gallery_styles
import gallery_vision
import keras
import numpy as np
import pytest
import tensorflow as tf
from plain import fit
from support.parts import sampled
from test_equal_to_plain_keras import assert_same_arrays

import fitfleet as ff
from fitfleet.data.files.location import locate_file
from fitfleet.spec.job import JobSpec, ModelSpec

pytestmark = pytest.mark.slow
ROWS = 20
RNG = np.random.default_rng(0)


def _random(*shape: int) -> Any:
    return RNG.random((ROWS, *shape), "float32")


PICTURES, LABELS = _random(8, 8, 3), RNG.integers(0, 3, ROWS)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
PICTURE_LABELS = RNG.integers(0, 3, (ROWS, 8, 8, 1))
SOUND = _random(64, 1)
OTHERS = _random(8, 8, 3)
CAPTIONS = np.sort(RNG.integers(0, 9, (ROWS, 2, 6)))[..., ::-1].copy()
PAIR = (PICTURES, ONE_HOT, OTHERS, ONE_HOT)


def _rows(*parts: Any) -> Any:
    """A pipeline as most of the examples have."""
    made = tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0])
    return made.shuffle(ROWS, seed=1).batch(8).prefetch(tf.data.AUTOTUNE)


def _with_labels(image: Any, label: Any) -> Any:
    return tf.image.flip_left_right(image), label


class _Styles(keras.utils.PyDataset):  # type: ignore[misc]
    """Two inputs and no labels, as adain has them: a tuple inside a tuple of one."""

    def __init__(self, *pictures: Any) -> None:
        super().__init__()
        self.pictures = pictures

    def __len__(self) -> int:
        return -(-ROWS // 8)

    def __getitem__(self, index: int) -> Any:
        return (tuple(part[8 * index : 8 * index + 8] for part in self.pictures),)


WORDS = RNG.integers(0, 5, (ROWS, 3))
CLASSES = _rows(PICTURES, LABELS).map(_with_labels, num_parallel_calls=2)
ALONE = _rows(PICTURES)
CASES: dict[Callable[[], Any], Any] = {
    gallery_vision.from_scratch: CLASSES,
    gallery_vision.vision_transformer: (PICTURES, LABELS),
    gallery_vision.mobilevit: _rows(PICTURES, ONE_HOT),
    gallery_vision.x_rays: _rows(PICTURES, LABELS // 2),
    gallery_vision.learnable_resizer: _rows(PICTURES, ONE_HOT),
    gallery_vision.fine_tuned: _rows(PICTURES, 0.7 * ONE_HOT + 0.3 * ONE_HOT[::-1]),
    gallery_vision.global_context: CLASSES,
    gallery_dense.unet: _rows(PICTURES, PICTURE_LABELS),
    gallery_dense.deeplab: _rows(PICTURES, PICTURE_LABELS),
    gallery_dense.mirnet: _rows(PICTURES, PICTURES[::-1]),
    gallery_dense.basnet: _rows(PICTURES, (PICTURE_LABELS > 1).astype("float32")),
    gallery_dense.boxes: (PICTURES, _random(4)),
    gallery_dense.points: _rows(_random(16, 3), np.eye(3)[RNG.integers(0, 3, (ROWS, 16))]),
    gallery_dense.film: ([_random(5, 6), RNG.random((ROWS, 5)) > 0.3], LABELS),
    gallery_adversaries.gan_ada: ALONE,
    gallery_adversaries.gaugan: _rows(PICTURES, PICTURES[::-1], _random(8, 8, 3)),
    gallery_sounds.melgan: _rows(SOUND, SOUND),
    gallery_sounds.spectrograms: (SOUND, LABELS),
    gallery_sounds.vocal_track: _rows(_random(64), _random(1, 64)),
    gallery_self_supervised.masked_pictures: ALONE,
    gallery_self_supervised.adamatch: _rows(PAIR, PAIR),
    gallery_self_supervised.consistent: _rows(PAIR[:2], PAIR[2:]),
    gallery_styles.adain: _Styles(PICTURES, OTHERS),
    gallery_styles.stylegan: ALONE,
    gallery_attention.focal_modulation: CLASSES,
    gallery_attention.patch_convnet: CLASSES,
    gallery_sequences.captioning: _rows(PICTURES, CAPTIONS),
    gallery_sequences.video_transformer: (_random(5, 6), LABELS),
    gallery_sequences.brain_signals: _rows(_random(4, 32), LABELS.astype("float32")),
    gallery_sequences.second_order: (_random(16), LABELS),
    gallery_sequences.handwriting: _rows({"image": _random(16, 8, 1), "label": WORDS}),
}
# Keras cannot read the config of their classes: job and plain script begin with one file.
WITHOUT_CONFIG = (
    gallery_sequences.brain_signals,
    gallery_sequences.handwriting,
    gallery_sequences.video_transformer,
)
MAKES = {make.__name__: make for make in CASES}


def _compiled_as(make: Callable[[], Any]) -> dict[str, Any]:
    config = make().get_compile_config()
    parts = {name: config[name] for name in ("optimizer", "loss", "metrics")}
    with keras.saving.custom_object_scope(make.__globals__):
        return keras.saving.deserialize_keras_object(parts)


def as_read_here(job: ff.Job, fleet: ff.Fleet) -> JobSpec:
    """Its specification with the file of its data by a path."""
    path = str(locate_file(job.spec.dataset.path, fleet.settings))
    dataset = job.spec.dataset.model_copy(update={"path": path})
    return job.spec.model_copy(update={"dataset": dataset})


@pytest.mark.filterwarnings("ignore:`model.compiled_:UserWarning")
@pytest.mark.filterwarnings("ignore:Layer 'transformer_layer':UserWarning")
@pytest.mark.parametrize("name", sampled(MAKES, "masked_pictures", "gan_ada"))
def test_it_is_equal_to_plain_keras(name: str, fleet: ff.Fleet, tmp_path: Path) -> None:
    make = MAKES[name]
    given: dict[str, Any] = {"batch_size": 8, "epochs": 2, "seed": 3, "experiment": "examples"}
    start = None
    if make in WITHOUT_CONFIG:
        start = tmp_path / "start.weights.h5"
        make().save_weights(start)
        given["initial_weights"] = str(start)
    job = fleet.submit(model=make, dataset=CASES[make], **given)
    spec = as_read_here(job, fleet)
    if spec.model.builder is None and make not in WITHOUT_CONFIG:
        plain = fit(spec, _compiled_as(make), [])
    else:
        made_here = ModelSpec(builder=ff.builder(make))
        keras.utils.clear_session()  # so that names count from 1, as in a worker
        plain = fit(spec.model_copy(update={"model": made_here}), None, [], start)
    job.wait(timeout_s=300, raise_on_failure=True)
    for metric, values in plain.history.items():
        assert list(job.history[metric]) == [float(v) for v in values], metric
    assert_same_arrays(job.load_model().get_weights(), plain.model.get_weights(), job)

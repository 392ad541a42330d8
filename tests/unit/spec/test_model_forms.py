"""One model, given in each form, is one config; builders are called where they can be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check_model
from fitfleet.spec.parts.model import model_spec
from fitfleet.spec.submission import job_spec

SETTINGS = Settings()
YAML = """
Sequential:
  - Input: {shape: [4]}
  - Dense: {units: 3, activation: relu}
  - Dense: 2
"""
BUILDERS = """
import fitfleet as ff

def build(units):
    if units == 13:
        raise ValueError("13 units bring bad luck")
    layers = ff.layers
    return ff.Sequential(
        [layers.Input((4,)), layers.Dense(units, activation="relu"), layers.Dense(2)]
    )

def three():
    return 3

def with_keras(units):
    import keras
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(2)]
    )
"""


def short_form() -> Any:
    layers = ff.layers
    return ff.Sequential([layers.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)])


def keras_form() -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "forms_builders.py").write_text(BUILDERS)
    (tmp_path / "forms_model.yaml").write_text(YAML)
    (tmp_path / "forms_model.json").write_text(keras_form().to_json())
    monkeypatch.chdir(tmp_path)
    return tmp_path


FORMS: dict[str, Callable[[], Any]] = {
    "keras object": keras_form,
    "keras json": lambda: keras_form().to_json(),
    "keras config": lambda: json.loads(keras_form().to_json()),
    "short form": short_form,
    "short form as a mapping": lambda: {
        "Sequential": [{"Input": {"shape": [4]}}, {"Dense": [3, "relu"]}, {"Dense": {"units": 2}}]
    },
    "json file": lambda: "forms_model.json",
    "yaml file": lambda: Path("forms_model.yaml"),
    "builder": lambda: ff.builder("forms_builders:build", units=3),
    "builder of keras": lambda: ff.builder("forms_builders:with_keras", units=3),
    "builder as a mapping": lambda: {
        "builder": "forms_builders:build",
        "arguments": {"units": 3},
    },
    "builder with its arguments beside it": lambda: {
        "builder": "forms_builders:build",
        "units": 3,
    },
    "model spec": lambda: model_spec(short_form(), SETTINGS)[0],
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_gives_one_config(form: str, folder: Path) -> None:
    spec, _ = model_spec(FORMS[form](), SETTINGS, is_scripted=True)
    assert spec == model_spec(short_form(), SETTINGS)[0]
    assert spec.builder is None


def test_the_given_config_is_left_alone() -> None:
    given = json.loads(keras_form().to_json())
    before = json.dumps(given)
    model_spec(given, SETTINGS)
    assert json.dumps(given) == before


def test_a_compiled_model_says_how_it_was_compiled() -> None:
    model = keras_form()
    model.compile(
        optimizer=keras.optimizers.SGD(0.25),
        loss=keras.losses.Huber(delta=3.0),
        metrics=["mae", keras.metrics.CosineSimilarity(axis=1)],
    )
    spec = job_spec(SETTINGS, model=model, dataset="d.h5")
    assert spec.optimizer["config"]["learning_rate"] == 0.25
    assert spec.loss == {"module": "keras.losses", "class_name": "Huber", "config": {"delta": 3.0}}
    assert spec.metrics[0] == "mae"
    assert spec.metrics[1]["config"] == {"axis": 1}
    spec = job_spec(SETTINGS, model=model, dataset="d.h5", loss="mse")
    assert spec.loss == "mean_squared_error"


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_frozen_sequential_with_a_trainable_layer_is_refused(is_nested: bool) -> None:
    """Keras trains none of it, but all of that layer once it was built from its config."""
    start, last = keras.Input((4,)), keras.layers.Dense(1, name="last")
    frozen = keras.Sequential([start, keras.layers.Dense(2), last], name="frozen")
    frozen.trainable = False
    model = keras.Sequential([start, frozen, keras.layers.Dense(1)]) if is_nested else frozen
    model_spec(model, SETTINGS)
    last.trainable = True
    with pytest.raises(SpecError, match=r"frozen is not trainable, .* but its layer last is"):
        model_spec(model, SETTINGS)


def test_what_keras_forgets_of_a_layer_is_kept() -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.LSTM(2, use_cudnn=False, return_sequences=True),
            keras.layers.SimpleRNN(2, seed=7),
        ]
    )
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    layers = spec.config["config"]["layers"]
    assert layers[1]["config"]["use_cudnn"] is False
    assert layers[2]["config"]["seed"] == 7


def models() -> list[Any]:
    layers = keras.layers
    start = keras.Input((6,), dtype="int32")
    embedded = layers.Embedding(20, 4, mask_zero=True)(start)
    encoded, h, c = layers.LSTM(4, return_state=True, return_sequences=True)(embedded)
    shared = layers.Dense(4)
    both = shared(encoded) + shared(embedded) * 2.0
    decoded = layers.LSTM(4, return_sequences=True)(both, initial_state=[h, c])
    out = layers.TimeDistributed(layers.Dense(20, activation="softmax"))(decoded)
    image = keras.Input((8, 8, 3), name="image")
    side = layers.GlobalAveragePooling2D()(
        layers.Conv2D(4, 3, activation=layers.LeakyReLU())(image)
    )
    return [
        keras_form(),
        keras.Model(start, out),
        keras.Model([start, image], {"words": out, "side": layers.Dense(1, name="side")(side)}),
        keras.Sequential([layers.Embedding(10, 3), layers.Bidirectional(layers.GRU(2))]),
    ]


@pytest.mark.parametrize("index", range(4))
def test_keras_builds_the_same_model_from_the_canonical_config(index: int) -> None:
    model = models()[index]
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    check_model(spec.config, SETTINGS)
    keras.utils.set_random_seed(1)
    original = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    keras.utils.set_random_seed(1)
    built = keras.saving.deserialize_keras_object(json.loads(json.dumps(spec.config)))
    again, _ = model_spec(built, SETTINGS)
    assert again == spec
    if original.built:
        assert built.count_params() == original.count_params()
        for expected, weights in zip(original.get_weights(), built.get_weights(), strict=True):
            assert (expected == weights).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"builder": "forms_builders:build", "arguments": {"units": 13}},
            r"build\(units=13\) raised ValueError: 13 units bring bad luck",
        ),
        (ff.builder("forms_builders:build"), r"build\(\) raised TypeError"),
        (
            {"builder": "forms_builders:build", "arguments": {"units": 3}, "units": 3},
            r"all its arguments stand in a mapping",
        ),
        (ff.builder("forms_builders:three"), r"returned an int, not a Keras model"),
        (ff.builder("forms_builders:four"), r"forms_builders has no function four"),
        (ff.builder("no_such_module:f"), r"no_such_module.*is not installed here.*trusted_modules"),
        (lambda: keras_form(), r"model: a lambda has no name .* as a function with `def`"),
        (keras.Sequential, "Sequential is a class; give a function that makes an object of it"),
        ("{not json", r"model: it is not JSON"),
        ({"Sequential": [{"Denze": 3}]}, r"Denze is not a known layer; did you mean Dense"),
        (
            {"class_name": "Custom", "module": "mine", "config": {}},
            r"Custom is a Model class of your own.* model=ff.builder\(make_model\)",
        ),
        (
            '{"class_name": "Sequential", "config": {"layers": []}, "keras_version": "2.4.0"}',
            r"a config of Keras 2\.4\.0, whose layers have other arguments; make the model with",
        ),
    ],
)
def test_a_bad_model_is_refused(model: Any, message: str, folder: Path) -> None:
    with pytest.raises(SpecError, match=message):
        model_spec(model, SETTINGS, is_scripted=True)


@pytest.mark.parametrize("has_arguments", [True, False])
def test_an_object_of_a_class_of_the_users_own_is_refused(has_arguments: bool) -> None:
    class Distiller(keras.Model):  # type: ignore[misc]
        def __init__(self, *parts: Any) -> None:
            super().__init__()

    model = Distiller(keras.Sequential()) if has_arguments else Distiller()
    with pytest.raises(SpecError, match=r"^model: Distiller is a Model class .*=ff\.builder"):
        model_spec(model, SETTINGS, is_scripted=True)


@pytest.mark.parametrize(
    ("layer", "place"),
    [
        (lambda: keras.layers.Dense(2, activation=lambda x: x), r"layers\[0\].activation"),
        (
            lambda: keras.layers.Dense(2, kernel_initializer=lambda shape, dtype=None: None),
            r"layers\[0\].kernel_initializer",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_is_refused_where_it_stands(layer: Callable[[], Any], place: str) -> None:
    model = keras.Sequential([layer()])  # not built: an initialiser of None would fail there
    with pytest.raises(SpecError, match=rf"^model.{place}: a lambda has no name to find it by"):
        model_spec(model, SETTINGS, is_scripted=True)


def test_a_builder_that_only_a_worker_has_is_kept() -> None:
    settings = SETTINGS.replace(trusted_modules=("no_such_module",))
    spec, _ = model_spec(ff.builder("no_such_module:build", units=3), settings)
    assert spec.config is None
    assert spec.builder is not None and spec.builder.arguments == {"units": 3}


def test_a_builder_is_found_on_the_module_path(tmp_path: Path) -> None:
    (tmp_path / "path_builders.py").write_text(BUILDERS)
    settings = SETTINGS.replace(module_path=(str(tmp_path),))
    spec, _ = model_spec(ff.builder("path_builders:build", units=3), settings, is_scripted=True)
    assert spec.config is not None

"""The declaration of TFRecord files: the features of an example, and which are x and y."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fitfleet.errors import DatasetError
from fitfleet.spec.keras_names import catalog

_Size = Annotated[int, Field(ge=1, le=2**28)]
_DTYPES = {"int64": "int64", "float32": "float32", "string": "bytes", "bytes": "bytes"}
_RAW = (
    *("uint8", "int8", "uint16", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "bool"),
)


class Feature(BaseModel):
    """One feature, as `tf.io.FixedLenFeature` has it: `dtype` "int64", "float32" or "bytes".

    `shape` of a row; None, as of a VarLenFeature: rows of different lengths, padded with zeros.
    `default` is the value of a feature that an example lacks. `decode` of bytes: None, a text; a
    NumPy dtype, raw numbers (as `tf.io.decode_raw`); "image", an image, which is resized to `shape`
    (height, width, channels).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal["int64", "float32", "bytes"]
    shape: Annotated[tuple[_Size, ...], Field(max_length=5)] | None = ()
    default: float | None = None
    decode: str | None = None


class TFRecord(BaseModel):
    """TFRecord files of `tf.train.Example`, for `fleet.submit(dataset=...)`.

    `path` is a file, a list of files, or a pattern such as "train-*.tfrecord" whose files
    are read in the order of their names. `features` are {name: feature}, a feature as `Feature`
    has it, one of TensorFlow's FixedLenFeature and VarLenFeature, or a dtype alone. `x`, `y` and
    `sample_weight` name features as in `Dataset`; without `y`, y is x. DatasetError.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | list[str]
    features: dict[str, Feature] = Field(min_length=1, max_length=1000)
    x: str | list[str] | dict[str, str] = "x"
    y: str | list[str] | dict[str, str] | None = "y"
    sample_weight: str | None = None
    compression: Literal["GZIP"] | None = None

    def __init__(self, path: Any = "", **fields: Any) -> None:
        for field in fields:
            if field not in type(self).model_fields:
                hint = catalog.nearest(field, list(type(self).model_fields))
                raise DatasetError(f"TFRecord.{field[:60]}: no such field; {hint}")
        fields["features"] = _features(fields.get("features"))
        paths = [path] if isinstance(path, str | os.PathLike) else path
        if not isinstance(paths, list | tuple) or not all(paths):
            raise DatasetError("TFRecord.path: is missing; give the path of a file, or a list")
        try:
            super().__init__(path=[os.fspath(part) for part in paths], **fields)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, ("TFRecord", *first["loc"])))
            raise DatasetError(f"{place}: {first['input']!r:.60}: {first['msg']}") from None
        self._check_roles()
        for name, feature in self.features.items():
            _check_feature(name, feature)

    @property
    def paths(self) -> list[str]:
        """The paths and patterns as they were given."""
        return [self.path] if isinstance(self.path, str) else self.path

    def _check_roles(self) -> None:
        for role in ("x", "y", "sample_weight"):
            for name in names_in(getattr(self, role)):
                if name not in self.features:
                    hint = catalog.nearest(name, list(self.features))
                    raise DatasetError(f"TFRecord.{role}: there is no feature {name!r:.60}; {hint}")


def names_in(role: Any) -> list[str]:
    """The names of the features of a role."""
    if role is None or isinstance(role, str):
        return [role] if role else []
    return list(role.values()) if isinstance(role, dict) else list(role)


def as_records(value: Any) -> TFRecord | None:
    """A TFRecord, also from a mapping as in job files: {"tfrecord": path, ...}.

    None for anything else. Raises DatasetError.
    """
    if isinstance(value, TFRecord):
        return value
    if not isinstance(value, Mapping) or "tfrecord" not in value:
        return None
    return TFRecord(value["tfrecord"], **{k: v for k, v in value.items() if k != "tfrecord"})


def _features(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise DatasetError(
            "TFRecord.features: is missing; give {name: feature}, such as {'label': 'int64',"
            " 'image': {'dtype': 'bytes', 'decode': 'uint8', 'shape': [28, 28, 1]}}"
        )
    return {str(name): _feature(str(name), value) for name, value in given.items()}


def _feature(name: str, value: Any) -> Any:
    if isinstance(value, Feature):
        return value
    if isinstance(value, str):
        value = {"dtype": value}
    elif hasattr(value, "dtype"):  # of TensorFlow, which its caller has imported
        value = {
            "dtype": getattr(value.dtype, "name", value.dtype),
            "shape": tuple(value.shape) if hasattr(value, "shape") else None,
            "default": getattr(value, "default_value", None),
        }
    if not isinstance(value, Mapping):
        raise DatasetError(f"TFRecord.features.{name:.60}: {value!r:.60} is not a feature")
    dtype = str(value.get("dtype", "bytes" if value.get("decode") else ""))
    if dtype not in _DTYPES:
        raise DatasetError(
            f"TFRecord.features.{name:.60}: {dtype!r:.40} is not a dtype of an example;"
            f" int64, float32"
            " or bytes (a text, or `decode` of it) are"
        )
    return {**value, "dtype": _DTYPES[dtype]}


def _check_feature(name: str, feature: Feature) -> None:
    place = f"TFRecord.features.{name:.60}"
    if feature.decode is not None and feature.dtype != "bytes":
        raise DatasetError(f"{place}.decode: is for bytes, not for {feature.dtype}")
    if feature.decode not in (None, "image", *_RAW):
        known = ", ".join(("image", *_RAW))
        raise DatasetError(f"{place}.decode: {feature.decode!r:.40} is not one of {known}")
    if feature.decode == "image" and (
        feature.shape is None or len(feature.shape) != 3 or feature.shape[2] not in (1, 3, 4)
    ):
        raise DatasetError(
            f"{place}.shape: {feature.shape} is not (height, width, channels) of a picture, which"
            " has 1, 3 or 4 channels"
        )
    if feature.dtype == "bytes" and feature.default is not None:
        raise DatasetError(f"{place}.default: is for numbers; each example needs these bytes")
    if feature.dtype == "bytes" and feature.decode is None and feature.shape not in ((), (1,)):
        raise DatasetError(f"{place}: several texts a row are not read; give one, or `decode`")

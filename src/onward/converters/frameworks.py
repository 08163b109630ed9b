"""The frameworks that models come from, and how their objects and files are known: one line each.

The page of a framework is the module or package of its name beside this file. It has `load(path, trust)` for a file or
folder and `convert(request)`, and is imported when a model of the framework is there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onward.errors import InvalidArgument, NoSuchFile, UnsupportedModel

BEGINNING = 1 << 20
"""Bytes of a file in which its marks are looked for."""


@dataclass(frozen=True)
class Framework:
    """A framework: `packages` are those of its classes, `endings` those of its files. Where two frameworks share an ending,
    `marks` has for it what stands, one or the other, in the files of this one only; `folder` is a file that marks a folder as a model."""

    name: str
    title: str
    packages: tuple[str, ...]
    endings: tuple[str, ...] = ()
    marks: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    folder: str = ""

    def owns(self, path: Path) -> bool:
        """Whether a file or folder is a model of this framework, by its name and mark."""
        if path.is_dir():
            return bool(self.folder) and (path / self.folder).is_file()
        if path.suffix not in self.endings:
            return False
        marks = self.marks.get(path.suffix)
        if not marks:
            return True
        with open(path, "rb") as file:
            beginning = file.read(BEGINNING)
        return any(mark in beginning for mark in marks)

    def page(self) -> Any:
        """The module that reads this framework's models. Raises UnsupportedModel where the framework is not installed."""
        try:
            return importlib.import_module(f"onward.converters.{self.name}")
        except ModuleNotFoundError as problem:
            if (problem.name or "").startswith("onward"):
                raise
            raise UnsupportedModel(f"{self.title} needs the package '{problem.name}': pip install onward[{self.name}]") from problem


FRAMEWORKS = (
    Framework("torch", "PyTorch", ("torch",), (".pt2", ".pt", ".pth")),
    Framework("keras", "Keras", ("keras",), (".keras", ".h5", ".json"), {".json": (b'"weight_map"',)}),
    Framework("sklearn", "scikit-learn", ("sklearn",), (".pkl", ".pickle", ".joblib", ".skops")),
    Framework("catboost", "CatBoost", ("catboost",), (".cbm", ".json"), {".json": (b'"features_info"', b'"ctr_data"')}),
    Framework("xgboost", "XGBoost", ("xgboost",), (".json", ".ubj")),
    Framework("lightgbm", "LightGBM", ("lightgbm",), (".txt",)),
    Framework("tensorflow", "TensorFlow", ("tensorflow",), (".pb",), folder="saved_model.pb"),
    Framework("tflite", "TFLite", (), (".tflite",)),
    Framework("jax", "JAX", ("jax", "jaxlib", "flax", "equinox")),
)


def named(name: str) -> Framework:
    """The framework of that name. Raises InvalidArgument for an unknown one."""
    for framework in FRAMEWORKS:
        if framework.name == name:
            return framework
    raise InvalidArgument(f"there is no framework '{name}'; known are {', '.join(framework.name for framework in FRAMEWORKS)}")


def recognized(source: Any, trust: bool = False, name: str | None = None) -> tuple[Framework, Any]:
    """The framework of a source, and the source, read from its file where it is one. `name` says it where nothing else does.

    Raises NoSuchFile, UnsupportedModel for what no framework owns, and what the framework's page raises for its file.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.exists():
            raise NoSuchFile(f"there is no file '{path}'")
        framework = named(name) if name else _owner(path)
        return framework, framework.page().load(path, trust)
    return (named(name) if name else _kin(source)), source


def owner(path: Path) -> Framework | None:
    """The framework that a file or folder is a model of, by its name and mark."""
    return next((framework for framework in FRAMEWORKS if framework.owns(path)), None)


SHARED_ENDINGS = (".pb", ".txt")
"""Endings of other frameworks' models that ONNX files have, too."""


def foreign(path: Path) -> Framework | None:
    """The framework of a file or folder that is no ONNX model by its name."""
    return None if path.suffix in SHARED_ENDINGS else owner(path)


def _owner(path: Path) -> Framework:
    framework = owner(path)
    if framework is not None:
        return framework
    if path.suffix == ".onnx":
        raise UnsupportedModel(f"'{path}' is an ONNX model already; `to` (--to) says what else it is to become")
    if (path / "model.py").is_file():
        raise UnsupportedModel(f"'{path}' is a folder of source, whose text is not read: pass what `load()` in its model.py gives to `onward.convert`")
    known = ", ".join(f"{ending} ({framework.title})" for framework in FRAMEWORKS for ending in framework.endings)
    raise UnsupportedModel(f"'{path}' is no model file that is known here; known are {known}")


def _kin(source: Any) -> Framework:
    for package in _packages(source):
        for framework in FRAMEWORKS:
            if package in framework.packages:
                return framework
    if callable(source):  # a function has no framework's class: JAX traces any
        return named("jax")
    raise UnsupportedModel(
        f"there is no converter for {type(source).__module__}.{type(source).__qualname__}; known are models of "
        + ", ".join(framework.title for framework in FRAMEWORKS)
    )


def _packages(source: Any) -> Iterator[str]:
    """The packages of an object's classes, the most derived first: a model of Keras is also a module of its backend. A module
    that stands beside its variables says it for both."""
    module = source[0] if isinstance(source, tuple) and source else source
    for kind in type(module).__mro__:
        yield kind.__module__.partition(".")[0]

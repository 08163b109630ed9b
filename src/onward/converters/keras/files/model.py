"""A model of a file, and its conversion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters import channels_last
from onward.converters.certificate import Reference
from onward.converters.keras.data import STATEFUL, Port, data
from onward.converters.keras.emitter import OPSET, Emitter, Tensor, numpy_type, onnx_type
from onward.converters.keras.files.archive import Archive
from onward.converters.keras.files.layer import SavedLayer
from onward.converters.keras.files.walker import MODELS, FileWalker, flatten_keys, keys
from onward.converters.keras.structure import flatten, packed
from onward.converters.request import Request
from onward.errors import FormatError, InvalidArgument, OnwardError, UnsupportedModel
from onward.ir import Model

ADVICE = "Keras is not installed, so that what its configuration does not describe cannot be read: pip install onward[keras]"


@contextmanager
def damage_told(path: str | os.PathLike[str]) -> Iterator[None]:
    """What a damaged configuration makes fail is said to be one."""
    try:
        yield
    except OnwardError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise FormatError(f"'{path}' does not describe a model of Keras 3 ({type(problem).__name__}: {str(problem)[:200]})") from problem


@dataclass
class SavedModel:
    """A model as its file describes it."""

    path: Path
    root: SavedLayer

    @staticmethod
    def read(path: str | os.PathLike[str]) -> SavedModel:
        """The model of a .keras or .h5 file.

        Raises FormatError for a file that is none of them, UnsupportedModel for a model that only its code describes.
        """
        archive = Archive.open(Path(path))
        with damage_told(path):
            root = SavedLayer.of(archive, archive.config, "", "")
        if root.kind not in MODELS or root.own or "layers" not in root.config:
            raise UnsupportedModel(f"'{path}' is a {root.kind}, whose code is not in the file: install Keras, and pass the model that it loads")
        return SavedModel(Path(path), root)

    def convert(self, request: Request) -> tuple[Model, Reference]:
        """The ONNX model, and data to run it on; nothing is there to compare it with."""
        with damage_told(self.path):
            return self._convert(request)

    def _convert(self, request: Request) -> tuple[Model, Reference]:
        ports, structure = self._inputs()
        names = list(request.input_names) or [port.name for port in ports]
        if len(names) != len(ports):
            raise InvalidArgument(f"the model has {len(ports)} inputs, {len(names)} names were given")
        ports = [Port(name, port.shape, port.dtype) for name, port in zip(names, ports)]
        c = Emitter(self.root.config.get("name", "model"), request.opset or OPSET)
        c.fixed = request.opset is not None
        entries = []
        for port in ports:
            extents = [extent if extent is not None else "batch" if axis == 0 else f"{port.name}_{axis}" for axis, extent in enumerate(port.shape)]
            entries.append(Tensor(c.input(port.name, onnx_type(port.dtype), extents), port.dtype, port.shape))
        walker = FileWalker(c)
        results = walker.layer(self.root, [packed(structure, entries)], {})
        walker.check(ADVICE)
        tensors = flatten(results)
        outputs = request.names_of_outputs(self._names(len(tensors), names))
        c.origin = {}
        for tensor, name in zip(tensors, outputs):
            c.output(tensor.value, name)
        made = c.model()
        channels_last.settle(made)
        example = request.example_inputs
        arrays = None if example is None else [np.asarray(item).astype(numpy_type(port.dtype)) for item, port in zip(flatten(example), ports, strict=True)]
        reference = Reference.unjudged("Keras", data(ports, self._classes(), self._words(), arrays))
        stateful = [item["config"]["name"] for item in self._everything(self.root.config) if item["config"].get("stateful")]
        return made, replace(reference, notes=(*reference.notes, *map(STATEFUL.format, stateful)))

    def _inputs(self) -> tuple[list[Port], Any]:
        """The inputs in order, and the structure in which the model takes them."""
        config = self.root.config
        described = {item["config"]["name"]: item["config"] for item in config["layers"] if item["class_name"] == "InputLayer"}
        if self.root.kind == "Sequential":
            first = next(iter(described.values()), None)
            shape = first["batch_shape"] if first else config.get("build_input_shape") or self.root.shapes.get("input_shape")
            if shape is None:
                raise InvalidArgument(f"'{self.path}' does not say the shape of its input: build the model before it is saved")
            return [Port(first["name"] if first else "x", tuple(shape), first["dtype"] if first else "float32")], 0
        structure = keys(config["input_layers"])
        ports = [Port(name, tuple(described[name]["batch_shape"]), described[name]["dtype"]) for name, *_ in flatten_keys(structure)]
        return ports, list(range(len(ports))) if len(ports) > 1 else 0

    def _names(self, count: int, inputs: list[str]) -> list[str]:
        """The names of the layers that give the outputs, or numbers where those do not tell them apart."""
        if self.root.kind == "Sequential":
            found = [self.root.config["layers"][-1]["config"]["name"]]
        else:
            found = [name for name, *_ in flatten_keys(keys(self.root.config["output_layers"]))]
        if len(found) != count or len(set(found)) != count:
            return [f"output_{place}" for place in range(count)]
        return [f"{name}_output" if name in inputs else name for name in found]

    def _everything(self, config: Any) -> list[dict[str, Any]]:
        """All configurations of layers, those of inner models too."""
        if isinstance(config, list):
            return [found for item in config for found in self._everything(item)]
        if not isinstance(config, dict):
            return []
        own = [config] if isinstance(config.get("config"), dict) and "class_name" in config else []
        return own + [found for item in config.values() for found in self._everything(item)]

    def _classes(self) -> int:
        return min((item["config"]["input_dim"] for item in self._everything(self.root.config) if "input_dim" in item["config"]), default=10)

    def _words(self) -> list[str]:
        found = [item["config"].get("vocabulary") for item in self._everything(self.root.config)]
        return [str(word) for words in found if isinstance(words, list) for word in words]

"""What stands in a file of Keras: a configuration, weights, vocabularies."""

from __future__ import annotations

import io
import json
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from onward.errors import FormatError, UnsupportedModel

WEIGHTS = "model.weights.h5"


class Archive(ABC):
    """A file. A layer has in it a `place`, the attributes that lead to it, and a `path`, the names of layers that do."""

    def __init__(self, config: dict[str, Any], weights: Any) -> None:
        self.config = config
        self._weights = weights

    @staticmethod
    def open(path: Path) -> Archive:
        """Reads a file. Raises FormatError for one that is none of Keras's, UnsupportedModel where h5py is missing."""
        try:
            import h5py
        except ModuleNotFoundError as problem:
            raise UnsupportedModel("the weights in Keras's files need the package 'h5py': pip install onward[keras-files]") from problem
        try:
            if path.suffix == ".h5":
                file = h5py.File(path)
                config = file.attrs.get("model_config")
                if config is None or "model_weights" not in file:
                    raise FormatError(f"'{path}' holds weights alone: a model's configuration is needed too")
                return Legacy(json.loads(config), file["model_weights"])
            package = zipfile.ZipFile(path)
            config = json.loads(package.read("config.json"))
            if WEIGHTS not in package.namelist():
                raise UnsupportedModel(f"'{path}' has no {WEIGHTS}: its weights stand elsewhere, or in another form; install Keras to read it")
            return Package(config, h5py.File(io.BytesIO(package.read(WEIGHTS))), package)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as problem:
            raise FormatError(f"'{path}' is no file of Keras: {str(problem).strip().splitlines()[0][:200]}") from problem

    @abstractmethod
    def array(self, place: str, path: str, number: int, name: str) -> np.ndarray | None:
        """A layer's variable of that number and name; None where it is not there."""

    def has(self, place: str) -> bool:
        """Whether something stands at a place. False where a file knows no places."""
        return False

    def words(self, place: str) -> list[str] | None:
        """The vocabulary of a layer that looks words up, None where the file has none for it."""
        return None


class Package(Archive):
    """A .keras file: weights are numbered, at the places of their layers."""

    def __init__(self, config: dict[str, Any], weights: Any, package: zipfile.ZipFile) -> None:
        super().__init__(config, weights)
        self._package = package

    def has(self, place: str) -> bool:
        return place in self._weights

    def array(self, place: str, path: str, number: int, name: str) -> np.ndarray | None:
        return stored(self._weights, f"{place}/vars/{number}")

    def words(self, place: str) -> list[str] | None:
        file = f"assets/{place}/vocabulary.txt"
        return self._package.read(file).decode().rstrip("\n").split("\n") if file in self._package.namelist() else None


class Legacy(Archive):
    """An .h5 file: weights are known by the names of their layers, beneath the outermost one."""

    def array(self, place: str, path: str, number: int, name: str) -> np.ndarray | None:
        names, group = path.split("/"), self._weights.get(path.partition("/")[0])
        if group is None:
            return None
        known: list[str] = []
        group.visit(known.append)
        for start in range(len(names)):  # not all models write their own name before those of their layers
            wanted = "/" + "/".join([*names[start:], name])
            for item in known:
                if f"/{item}".removesuffix(":0").endswith(wanted) and (found := stored(group, item)) is not None:
                    return found
        return None


def stored(group: Any, place: str) -> np.ndarray | None:
    """A data set as an array. Raises FormatError for one that points out of the file."""
    import h5py

    if place not in group or not isinstance(group[place], h5py.Dataset):
        return None
    link, item = group.get(place, getlink=True), group[place]
    if isinstance(link, h5py.ExternalLink) or item.external or item.is_virtual:
        raise FormatError(f"the weight '{place}' points to another file")
    return np.array(item, ml_dtypes.bfloat16 if item.attrs.get("dtype") == "bfloat16" else None)

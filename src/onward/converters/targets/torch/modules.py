"""Where the weights of a PyTorch model stand: sub-modules, layers, parameters and buffers, named as they are in the ONNX model.

An initialiser `layer1.0.conv1.weight` is the parameter `weight` of the sub-module `layer1.0.conv1`. A model that came from PyTorch says
which weights were the module's state (`converters/torch/state.py`): then every name is kept, and a layer is only made where the names
are those that the layer itself gives its weights.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from onward import program as P
from onward.converters.targets.printing.naming import module_of
from onward.converters.torch.state import State
from onward.operators.native import Call
from onward.program.array import Array, Constant

PARAMETER, BUFFER, CONSTANT = "parameter", "buffer", "constant"
"""A weight that is trained; one that is part of the state; one that is not, and is no part of `state_dict`."""

TAKEN = frozenset({*dir(torch.nn.Module()), *keyword.kwlist})
LONGEST = 80

IDENTITY = "nn.Identity()"
"""What stands at a place of a list at which nothing is computed: dropout, for instance."""

Path = tuple[str, ...]


@dataclass
class Tensor:
    """A weight that a module registers itself."""

    data: np.ndarray
    kind: str


@dataclass
class Module:
    """A sub-module: a layer of torch.nn, which `constructor` makes, or what other modules and weights stand in."""

    constructor: str = ""
    own: frozenset[str] = frozenset()
    """Names of the weights that the layer makes itself."""
    frozen: list[str] = field(default_factory=list)
    """Names of parameters that are not trained."""
    children: dict[str, Module] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    is_sequence: bool = False
    """Whether it is a list whose parts are called one after another."""

    @property
    def is_list(self) -> bool:
        """Whether its parts are numbered from 0 on."""
        return bool(self.children) and not self.tensors and list(self.children) == [str(place) for place in range(len(self.children))]

    @property
    def computed(self) -> list[str]:
        """The names of the parts at which something is computed."""
        return [name for name, child in self.children.items() if child.constructor != IDENTITY]

    @property
    def is_dictionary(self) -> bool:
        """Whether some part has no name that Python would take for an attribute."""
        return not self.is_list and not all(map(is_identifier, self.children))


def is_identifier(name: str) -> bool:
    """Whether Python takes a name as that of an attribute of a module."""
    return name.isidentifier() and name.isascii() and name not in TAKEN and not name.startswith("__")  # which a class would mangle


class Modules:
    """The tree of modules under construction. `weights` holds the data of every weight by its path; `buffers` are those that are not trained."""

    def __init__(self, names: Iterable[str] = (), state: State | None = None, buffers: Container[str] = ()) -> None:
        self.state = state
        self._buffers = buffers
        self.root = Module()
        self.weights: dict[str, np.ndarray] = {}
        self.ties: dict[str, str] = {}
        self._owned: dict[Array, Path] = {}
        self._layers: list[tuple[tuple[Any, ...], Path]] = []
        self._constants: dict[str, Path] = {}
        self._aliases: dict[str, list[str]] = {}
        for alias, name in state.tied.items() if state else ():
            self._aliases.setdefault(name, []).append(alias)
        for name in (*names, *(state.tied if state else ())):  # what is a list is known before the first is used
            self._module(self._path(name)[:-1])

    # -- weights ---------------------------------------------------------------------------------------------------------
    def parameter(self, array: Constant) -> str:
        """The text that reads a weight of the model."""
        if array not in self._owned:
            self._own(array, self._fresh(self._path(array.label)))
        return self.text(self._owned[array])

    def constant(self, name: str) -> str:
        """The text that reads a constant that `keep` will give the data of."""
        path = self._fresh(self._path(name))
        self._constants[name] = path
        self._module(path[:-1]).tensors[path[-1]] = Tensor(np.zeros(0), CONSTANT)
        return self.text(path)

    def keep(self, constants: Mapping[str, np.ndarray]) -> None:
        """The data of constants."""
        for name, data in constants.items():
            *scope, leaf = path = self._constants[name]
            self._module(tuple(scope)).tensors[leaf] = Tensor(data, CONSTANT)
            self.weights[".".join(path)] = data

    def keep_state(self, initializers: Mapping[str, np.ndarray]) -> None:
        """All of the source's state, what nothing reads too."""
        for name in (*self.state.parameters, *self.state.buffers) if self.state else ():
            if name not in self.weights:
                self._register(path_of(name), initializers[name], self._kind(name, initializers[name]))
        for name in self.state.frozen if self.state else ():
            *scope, leaf = path_of(name)
            self._module(tuple(scope)).frozen.append(leaf)
        for alias, name in self.state.tied.items() if self.state else ():
            *scope, leaf = path = path_of(alias)
            module = self._module(tuple(scope))
            if alias not in self.ties:
                if leaf not in module.own:
                    module.tensors[leaf] = Tensor(initializers[name], self._kind(name, initializers[name]))
                self.ties[".".join(path)] = name

    def _own(self, array: Constant, path: Path) -> None:
        self._owned[array] = path
        self._register(path, array.tensor.numpy(), self._kind(array.label, array.tensor.numpy()))

    def _register(self, path: Path, data: np.ndarray, kind: str) -> None:
        module = self._module(path[:-1])
        if path[-1] not in module.own:
            module.tensors[path[-1]] = Tensor(data, kind)
        self.weights[".".join(path)] = data

    def _kind(self, name: str, data: np.ndarray) -> str:
        if self.state is None:
            return PARAMETER if (data.dtype.kind == "f" or data.dtype.name == "bfloat16") and name not in self._buffers else BUFFER
        return PARAMETER if name in self.state.parameters else BUFFER if name in self.state.buffers else CONSTANT

    # -- layers ----------------------------------------------------------------------------------------------------------
    def layer(
        self,
        call: Call,
        constructor: str,
        weights: Mapping[str, Array | None],
        turned: Mapping[str, tuple[Array, np.ndarray]] | None = None,
        more: Mapping[str, np.ndarray] | None = None,
    ) -> str | None:
        """The text of a layer that `constructor` makes and that has these weights by its own names of them, or None: then the weights are
        somebody else's, or have other names that are to be kept.

        `turned` are weights, and their data in the order that the layer has them in; `more` is data that the model lacks.
        """
        arrays = {name: array for name, array in weights.items() if array is not None}
        sources = {**arrays, **{name: array for name, (array, _) in (turned or {}).items()}}
        key = constructor, tuple(sources.items())
        for known, there in self._layers:
            if known == key:
                return self.text(there)
        path: Path | None = self._free(call, sources) if self.state is None else None if turned else self._exact(arrays)
        if path is None:
            return None
        data = {name: numbers(array) for name, array in arrays.items()}
        data |= {name: item for name, (_, item) in (turned or {}).items()}
        self._place(path, constructor, arrays, data)
        self._module(path).own = frozenset({*data, *(more or {})})
        self.weights.update({".".join((*path, name)): item for name, item in (more or {}).items()})
        self._layers.append((key, path))
        return self.text(path)

    def _place(self, path: Path, constructor: str, arrays: Mapping[str, Array], data: Mapping[str, np.ndarray]) -> None:
        module = self._module(path)
        module.constructor = constructor
        for name, item in data.items():
            module.tensors.pop(name, None)
            full = ".".join((*path, name))
            array = arrays.get(name)
            if array in self._owned and self._owned[array] != (*path, name):
                self.ties[full] = ".".join(self._owned[array])
                continue
            self.weights[full] = item
            if array is not None:
                self._owned[array] = (*path, name)

    def _exact(self, arrays: Mapping[str, Array]) -> Path | None:
        """The module that has all of these weights under these very names."""
        found: list[Path] | None = None
        for name, array in arrays.items():
            if not isinstance(array, P.Parameter):
                return None
            labels = [array.label, *self._aliases.get(array.label, ())]
            scopes = [path_of(label)[:-1] for label in labels if label.endswith(f".{name}")]
            found = scopes if found is None else [path for path in found if path in scopes]
        return next((path for path in found or () if not self._module(path).constructor), None)

    def _free(self, call: Call, arrays: Mapping[str, Array]) -> Path | None:
        if any(array in self._owned for array in arrays.values()):
            return None
        return self._fresh(next(iter(self._wishes(call, arrays))), module=True)

    def _wishes(self, call: Call, arrays: Mapping[str, Array]) -> Iterator[Path]:
        """Where a layer would like to be: what the names of its weights say, else where its node is."""
        named = [self._path(array.label) for array in arrays.values() if isinstance(array, Constant)]
        exact = [path for name, path in zip(arrays, named) if path[-1] == name]
        for path in (*exact, *named):
            if len(path) > 1:
                yield path[:-1]
        origins = call.node.outputs[0].provenance
        scope = scope_of(origins[0].node_name, origins[0].metadata) if origins else scope_of(call.node.name, call.node.metadata)
        if scope:
            yield scope
        yield (call.node.op_type.lower(),)

    def place_layer(self, path: Path, constructor: str) -> bool:
        """Puts a layer without weights where nothing is, or what is made so already. False where something else is, or what holds it is a layer."""
        there = self.find(path)
        if there is not None and there.constructor != constructor or any(self._constructor(path[:length]) for length in range(1, len(path))):
            return False
        self._module(path).constructor = constructor
        return True

    def fill_lists(self, paths: Iterable[Path]) -> None:
        """Brings numbered parts beside these into their order, without gaps."""
        for path in paths:
            children = self._module(path[:-1]).children
            if len(path) > 1 and all(part.isdigit() for part in children):
                known = dict(children)
                children.clear()
                children.update((str(place), known.get(str(place)) or Module(IDENTITY)) for place in range(max(map(int, known)) + 1))

    # -- paths -----------------------------------------------------------------------------------------------------------
    def _module(self, path: Path) -> Module:
        module = self.root
        for part in path:
            module = module.children.setdefault(part, Module())
        return module

    def _path(self, name: str) -> Path:
        """The path of a weight; those of PyTorch's own keep every name, others become attributes, or places in lists."""
        path = path_of(name)
        if self.state is not None:
            return path
        return tuple(part if part.isdigit() or is_identifier(part) else f"_{part.replace('-', '_').lstrip('_')}" for part in path)

    def _fresh(self, path: Path, module: bool = False) -> Path:
        """A path at which nothing is yet, and that leads through no layer; `module`: but weights of a module to be."""
        if any(self._constructor(path[:length]) for length in range(1, len(path))):
            path = ("_".join(path),)
        *scope, leaf = path
        if module and path:
            there = self.find(path)
            if there is None or not there.constructor and not there.children and not there.tensors:
                return path
        owner, name, number = self._module(tuple(scope)), leaf, 2
        while name in owner.own or name in owner.tensors or name in owner.children or not is_identifier(name) and not module:
            name, number = f"{leaf}_{number}", number + 1
            name = name if name[0].isalpha() or name[0] == "_" else f"_{name}"
        return (*scope, name)

    def _constructor(self, path: Path) -> str:
        module = self.find(path)
        return "" if module is None else module.constructor

    def find(self, path: Path) -> Module | None:
        """The module at a path, if there is one."""
        module: Module | None = self.root
        for part in path:
            module = module.children.get(part) if module else None
        return module

    def holds(self, path: Path) -> bool:
        """Whether a tensor of a module that is no layer is at a path."""
        owner = self.find(path[:-1])
        return owner is not None and not owner.constructor and path[-1] in owner.tensors

    def outer(self, path: Path) -> Path:
        """The innermost sub-module along a path that is there and no layer, list or dictionary."""
        while path and ((module := self.find(path)) is None or module.constructor or module.is_list or module.is_dictionary):
            path = path[:-1]
        return path

    def text(self, path: Path) -> str:
        """How the model itself reads what is at a path."""
        text, module = "self", self.root
        for place, part in enumerate(path):
            if part in module.children and module.is_list and place:
                text = f"{text}[{part}]"
            elif part in module.children and module.is_dictionary and place:
                text = f"{text}[{part!r}]"
            elif is_identifier(part):
                text = f"{text}.{part}"
            else:
                text = f"getattr({text}, {part!r})"
            module = module.children.get(part, Module())
        return text


def path_of(name: str) -> Path:
    """The path of a weight: the parts of its name between dots, or slashes where it has no dots; letters, digits, `_` and `-` of ASCII are kept."""
    parts = name.split(".") if "." in name else name.split("/")
    plain = [re.sub(r"[^0-9A-Za-z_-]+", "_", part)[-LONGEST:] for part in parts]
    return tuple(part if part not in TAKEN else f"{part}_" for part in plain if part.strip("_-")) or ("weight",)


def scope_of(name: str, metadata: Mapping[str, str]) -> Path | None:
    """The path of the module that a node comes from, as far as it says so; None where it says nothing."""
    module = module_of(name, metadata)
    return None if module is None else path_of(module) if module else ()


def numbers(array: Array) -> np.ndarray:
    """The data of a weight, or of what is computed from weights."""
    return array.tensor.numpy() if isinstance(array, Constant) else P.evaluate([array], {})[0]

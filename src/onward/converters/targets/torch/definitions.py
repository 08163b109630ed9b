"""The statements of `__init__`: layers, weights, and what they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onward.converters.targets.torch.modules import BUFFER, PARAMETER, Module, Modules, Tensor, is_identifier
from onward.converters.targets.torch.words import NARROW, TYPES
from onward.ir.datatypes import DataType

Path = tuple[str, ...]

Constructors = dict[Path, str]
"""path of a sub-module -> the text that makes it, for those that have a class"""


def definitions(modules: Modules, path: Path, constructors: Mapping[Path, str]) -> list[str]:
    """Statements that make the parts of the module at a path."""
    module = modules.find(path)
    return [] if module is None else list(_parts(module, path, "self", constructors))


def _parts(module: Module, path: Path, target: str, constructors: Mapping[Path, str]) -> Iterator[str]:
    for name, tensor in module.tensors.items():
        yield _tensor(target, name, tensor)
    for name in module.frozen:
        yield f"{target}.{name}.requires_grad_(False)" if is_identifier(name) else f"getattr({target}, {name!r}).requires_grad_(False)"
    for name, child in module.children.items():
        inner = (*path, name)
        if inner not in constructors and is_empty(child) and not any(path[: len(inner)] == inner for path in constructors):
            continue
        made = _made(child, inner, constructors)
        if path and target != "self" and (module.is_list or module.is_dictionary):
            place = f"{target}[{name if module.is_list else repr(name)}]"  # made with what holds it
        elif is_identifier(name):
            place = f"{target}.{name}"
            yield f"{place} = {made}"
        else:
            place = f"getattr({target}, {name!r})"
            yield f"{target}.add_module({name!r}, {made})"
        if inner not in constructors:
            yield from _parts(child, inner, place, constructors)


def _made(module: Module, path: Path, constructors: Mapping[Path, str]) -> str:
    """The text that makes a sub-module, with the items of a list or dictionary."""
    if path in constructors:
        return constructors[path]
    if module.constructor:
        return module.constructor
    parts = {name: _made(child, (*path, name), constructors) for name, child in module.children.items()}
    if module.is_list:
        items = list(parts.values())
        if module.is_sequence:
            return f"nn.Sequential({', '.join(items)})"
        if len(items) > 1 and len(set(items)) == 1:
            return f"nn.ModuleList([{items[0]} for _ in range({len(items)})])"
        return f"nn.ModuleList([{', '.join(items)}])"
    if module.is_dictionary:
        return f"nn.ModuleDict({{{', '.join(f'{name!r}: {part}' for name, part in parts.items())}}})"
    return "nn.Module()"


def is_empty(module: Module) -> bool:
    """Whether nothing is in a module."""
    return not module.constructor and not module.tensors and all(map(is_empty, module.children.values()))


def _tensor(target: str, name: str, tensor: Tensor) -> str:
    empty = empty_tensor(tensor.data)
    if tensor.kind == PARAMETER:
        return f"{target}.{name} = nn.Parameter({empty})" if is_identifier(name) else f"{target}.register_parameter({name!r}, nn.Parameter({empty}))"
    rest = "" if tensor.kind == BUFFER else ", persistent=False"
    return f"{target}.register_buffer({name!r}, {empty}{rest})"


def empty_tensor(data: np.ndarray) -> str:
    """A tensor without data of the shape and type of an array."""
    kind = DataType.of(data.dtype)
    dtype = "" if kind == DataType.FLOAT else f", dtype=torch.{TYPES.get(kind) or NARROW[kind]}"
    return f"torch.empty({', '.join(map(str, data.shape)) or '()'}{dtype})"

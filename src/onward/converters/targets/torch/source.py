"""The text of the classes of a model."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onward.converters.targets.torch.classes import PLACES, Classes
from onward.converters.targets.torch.modules import Modules, path_of, scope_of
from onward.converters.targets.torch.scopes import given_to_parts, place
from onward.converters.targets.torch.statements import Path, Statement, chain, parsed
from onward.converters.targets.torch.weightless import as_layers
from onward.ir import Node, Origin
from onward.ir.datatypes import DataType

if TYPE_CHECKING:
    from onward.converters.targets.printing.module import Function


def classes_text(modules: Modules, function: Function, nodes: Sequence[Node], main: DataType, reserved: set[str]) -> str:
    """The classes of a model of these nodes, `Model` last: each statement stands in the class of the sub-module that it belongs to."""
    statements: list[Statement] = []
    said: list[Path | None] = []
    trees = parsed(function.body)
    as_layers(modules, trees, function.origins)
    for tree, scope in given_to_parts(modules, [(tree, _scope(modules, function.origins[line]) or ()) for line, tree in trees]):
        said.append(scope)
        statements.append(Statement(tree, scope))
    for line, tree in trees:
        said.append(_said(modules, tree, function.origins[line]))
        statements.append(Statement(tree, said[-1] or (), _word(tree, function.origins[line])))
    place(statements, said, modules)
    variables = {*function.arguments, *PLACES, *(name for item in statements for name in item.defined)}
    classes = Classes(modules, variables, _titles(nodes), function.shapes, reserved, main.numpy)
    text = classes.root(statements, function.arguments, function.results)
    if modules.ties:
        text += _ties(modules)
    return text


def _said(modules: Modules, tree: ast.stmt, origins: Sequence[Origin]) -> Path | None:
    """The sub-module that a statement belongs to: that of the layer it calls, of the weights it reads, or what its node says, if anything."""
    found = [path for path in Statement(tree, ()).paths() if modules.find(path[:1]) is not None]
    for path in found:
        for length in range(len(path), 0, -1):
            module = modules.find(path[:length])
            if module is not None:
                return modules.outer(path[: length - 1] if module.constructor else path[:length])
    return _scope(modules, origins)


def _scope(modules: Modules, origins: Sequence[Origin]) -> Path | None:
    """The sub-module that a node says it belongs to, if it says anything."""
    said = scope_of(origins[0].node_name, origins[0].metadata) if origins else None
    return None if said is None else modules.outer(said)


def _word(tree: ast.stmt, origins: Sequence[Origin]) -> str:
    """What the result of a statement might be called: as the layer that it calls, else as the operator that it belongs to."""
    path = chain(tree.value.func) if isinstance(tree, ast.Assign) and isinstance(tree.value, ast.Call) else None
    kind = origins[0].op_type if origins else ""
    return next((part for part in reversed(path or ()) if part.isidentifier()), kind).lower()


def _titles(nodes: Sequence[Node]) -> Mapping[Path, str]:
    """What the classes of sub-modules are called in the source, where the nodes say so."""
    found: dict[Path, str] = {}
    for node in nodes:
        if node.metadata.get("onward.class") and node.metadata.get("onward.module"):
            found.setdefault(path_of(node.metadata["onward.module"]), node.metadata["onward.class"].rpartition(".")[2])
    return found


def _ties(modules: Modules) -> str:
    lines = ["", "    def tie_weights(self):", '        """Makes one parameter of weights that have several names."""']
    for alias, name in modules.ties.items():
        lines.append(f"        {modules.text(tuple(alias.split('.')))} = {modules.text(tuple(name.split('.')))}")
    return "\n".join(lines) + "\n"

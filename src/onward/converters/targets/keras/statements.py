"""The statements that build a model, as trees: what they read and define, where they come from, and what their variables are called."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onward.converters.targets.printing.naming import Names

Path = tuple[str, ...]

BLOCK = re.compile(r"(.*?block_?\d+[a-z]?)_(.+)")
"""Keras's own models name layers of a block so: `conv2_block1_1_conv`, `block2a_expand_conv`."""


@dataclass
class Statement:
    """An assignment, or several lines that are one; `path` is the module that it comes from."""

    tree: ast.stmt | ast.Module
    path: Path = ()

    @property
    def defined(self) -> list[str]:
        """The variables that it defines; `number` is that of a loop."""
        names = (node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        return [name for name in dict.fromkeys(names) if name != "number"]

    def read(self, variables: set[str]) -> list[str]:
        """Those of the variables that it reads, in the order of the text."""
        names = sorted((node for node in ast.walk(self.tree) if isinstance(node, ast.Name)), key=lambda node: (node.lineno, node.col_offset))
        return list(dict.fromkeys(node.id for node in names if isinstance(node.ctx, ast.Load) and node.id in variables))

    def renamed(self, names: Mapping[str, str]) -> ast.stmt | ast.Module:
        """A copy with other names of variables."""
        return Renaming(names).visit(copy.deepcopy(self.tree))  # type: ignore[no-any-return]


class Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.names.get(node.id, node.id), node.ctx), node)


def parts_of(name: str) -> list[str]:
    """What a name consists of between dots and slashes: letters, digits and underscores."""
    parts = re.split(r"[./]", re.sub(r"[^0-9A-Za-z_./]+", "_", name))
    return [part.strip("_") for part in parts if part.strip("_")]


def path_of(name: str) -> Path:
    """The parts of the name of a module."""
    found = [(part, BLOCK.fullmatch(part)) for part in parts_of(name)]
    return tuple(item for part, match in found for item in (match.groups() if match else (part,)))


def parsed(lines: Sequence[str], modules: Sequence[str]) -> list[Statement]:
    """A statement for each line. One that comes from no module is where the last of what it reads was made."""
    result: list[Statement] = []
    makers: dict[str, int] = {}
    for line, module in zip(lines, modules, strict=True):
        statement = Statement(ast.parse(line.strip()).body[0], path_of(module))
        places = [makers[name] for name in statement.read(set(makers))]
        if not module and places:
            statement.path = (*result[max(places)].path[:-1], "")
        makers.update(dict.fromkeys(statement.defined, len(result)))
        result.append(statement)
    return result


def used(statements: Sequence[Statement], last: Statement) -> list[Statement]:
    """Those whose results the last of all, or others of them, read; inputs and layers that have a name of their own stay."""
    variables = {name for item in statements for name in item.defined}
    needed, found = set(last.read(variables)), []
    for item in reversed(statements):
        if needed.intersection(item.defined) or any(isinstance(node, ast.keyword) and node.arg == "name" for node in ast.walk(item.tree)):
            needed.update(item.read(variables))
            found.append(item)
    return found[::-1]


def named(statements: Sequence[Statement], given: Mapping[str, str], results: Sequence[str], reserved: set[str]) -> tuple[list[str], dict[str, str]]:
    """The lines of statements whose variables are called after what they are, and these names. `given` are arguments and their names.

    What becomes of a variable that nothing reads any more has its name.
    """
    variables = {*given, *(name for item in statements for name in item.defined)}
    last = {name: place for place, item in enumerate(statements) for name in (*item.defined, *item.read(variables))}
    last.update(dict.fromkeys(results, len(statements)))
    names, mapping = Names(reserved), {name: name for name in variables}
    free: list[str] = []
    for old, new in given.items():
        mapping[old] = names.fresh(new)
    lines: list[str] = []
    known = set(given)
    for place, item in enumerate(statements):
        read = [name for name in item.read(variables) if name in known]
        dying = [mapping[name] for name in read if last[name] == place]
        fresh = [name for name in item.defined if name not in known]
        free += [name for name in dying if name not in free]
        for name in fresh:
            heir = dying[0] if len(dying) == len(read) == 1 and len(fresh) == 1 else "x" if "x" in free else ""
            wish = heir or (name if not read else "x" if "x" not in names.taken else word(item))
            mapping[name] = wish if wish in free else names.fresh(wish)
            free = [other for other in free if other != mapping[name]]
        known.update(fresh)
        text = ast.unparse(ast.fix_missing_locations(item.renamed(mapping)))
        lines += [line for line in text.splitlines() if line.partition(" = ")[0] != line.partition(" = ")[2]]
    return lines, mapping


def word(statement: Statement) -> str:
    """What a result might be called: as its layer, else as the function that makes it."""
    if statement.path and statement.path[-1]:
        return next((part for part in reversed(statement.path) if not part.isdigit() and part != "self"), "x").lower()
    node = statement.tree.value if isinstance(statement.tree, ast.Assign) else None
    while isinstance(node, (ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return (node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "x").lower()

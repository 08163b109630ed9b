"""The statements of a generated function as trees: what they read and define, and which sub-modules they name."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Path = tuple[str, ...]


@dataclass
class Statement:
    """One statement. `scope` is the sub-module that it belongs to, `word` what its result might be called."""

    tree: ast.stmt
    scope: Path
    word: str = ""

    @property
    def defined(self) -> list[str]:
        """The variables that it defines."""
        if isinstance(self.tree, ast.FunctionDef):
            return [self.tree.name]
        return list(dict.fromkeys(node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)))

    @property
    def read(self) -> list[str]:
        """The variables that it reads, `self` and those of a function inside left out."""
        inside = {"self"}
        if isinstance(self.tree, ast.FunctionDef):
            inside |= {argument.arg for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef) for argument in node.args.args}
            inside |= {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        names = [node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        return [name for name in dict.fromkeys(names) if name not in inside]

    def paths(self) -> Iterator[Path]:
        """What of `self` it names: the longest chains of attributes, items and names in quotes."""
        pending: list[ast.AST] = [self.tree]
        while pending:
            node = pending.pop()
            found = chain(node)
            if found:
                yield found
                continue
            pending.extend(ast.iter_child_nodes(node))

    def changed(self, names: Mapping[str, str], within: Path = ()) -> ast.stmt:
        """A copy with other names of variables, and with the sub-module `within` as `self`."""
        return _Renaming(names, within).visit(copy.deepcopy(self.tree))  # type: ignore[return-value]


def chain(node: ast.AST) -> Path | None:
    """The parts of `self.layer[0].weight`; None for anything else."""
    match node:
        case ast.Name(id="self"):
            return ()
        case ast.Attribute(value=value, attr=part):
            outer = chain(value)
        case ast.Subscript(value=value, slice=ast.Constant(value=str() | int() as part)):
            outer = chain(value)
        case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str() as part)]):
            outer = chain(value)
        case _:
            return None
    return None if outer is None else (*outer, str(part))


def size_read(node: ast.AST) -> tuple[str, int] | None:
    """The variable and the axis of `x.shape[0]`; None for anything else."""
    match node:
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name), attr="shape"), slice=ast.Constant(value=int() as axis)):
            return name, axis
    return None


class Sizes(ast.NodeTransformer):
    """Reads sizes from other variables: `places` gives for (variable, axis) another."""

    def __init__(self, places: Callable[[str, int], tuple[str, int]]) -> None:
        self.places = places

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        found = size_read(node)
        if found is None:
            return self.generic_visit(node)
        name, axis = self.places(*found)
        return ast.parse(f"{name}.shape[{axis}]", mode="eval").body


class Reading(ast.NodeTransformer):
    """Reads variables in the place of what is at some paths of `self`."""

    def __init__(self, variables: Mapping[Path, str]) -> None:
        self.variables = variables

    def visit(self, node: ast.AST) -> ast.AST:
        name = self.variables.get(chain(node) or ())
        return super().visit(node) if name is None else ast.Name(name, ast.Load())


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str], within: Path) -> None:
        self.names, self.within = names, within

    def visit(self, node: ast.AST) -> ast.AST:
        if self.within and chain(node) == self.within:
            return ast.Name("self", ast.Load())
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        for argument in node.args.args:
            argument.arg = self.names.get(argument.arg, argument.arg)
        return self.generic_visit(node)


def parsed(lines: Sequence[str]) -> list[tuple[int, ast.stmt]]:
    """(number of its first line, statement) of each statement of a body that is indented once; comments are left out."""
    body = ast.parse("if True:\n" + "\n".join(lines) + "\n    pass").body[0]
    assert isinstance(body, ast.If)
    return [(statement.lineno - 2, statement) for statement in body.body[:-1]]

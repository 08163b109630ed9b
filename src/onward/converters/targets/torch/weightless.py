"""Layers without weights: what a module of torch.nn computed is a module again, so that a list of layers and activations has no gaps."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from onward.converters.targets.torch.modules import Modules, path_of
from onward.converters.targets.torch.statements import chain
from onward.ir import Origin

FUNCTIONS = {
    "ReLU": "F.relu", "ReLU6": "F.relu6", "GELU": "F.gelu", "SiLU": "F.silu", "Mish": "F.mish", "ELU": "F.elu", "SELU": "F.selu", "CELU": "F.celu",
    "LeakyReLU": "F.leaky_relu", "Hardswish": "F.hardswish", "Hardsigmoid": "F.hardsigmoid", "Softplus": "F.softplus", "Softsign": "F.softsign",
    "Sigmoid": "torch.sigmoid", "Tanh": "torch.tanh", "Softmax": "F.softmax", "LogSoftmax": "F.log_softmax",
    **{f"{kind}Pool{axes}d": f"F.{kind.lower()}_pool{axes}d" for kind in ("Max", "Avg") for axes in (1, 2, 3)},
}  # fmt: skip
"""A class of torch.nn -> the function that it calls with its arguments."""


def as_layers(modules: Modules, statements: Sequence[tuple[int, ast.stmt]], origins: Sequence[Sequence[Origin]]) -> None:
    """Makes layers of the functions that modules of torch.nn called, where the nodes say so, and fills the places of lists at which nothing is computed."""
    made: dict[int, tuple[str, ...]] = {}
    for line, tree in statements:
        said = origins[line][0].metadata if origins[line] else {}
        package, _, title = said.get("onward.class", "").rpartition(".")
        options = _options(tree, FUNCTIONS.get(title, "")) if package.startswith("torch.nn.modules") and said.get("onward.module") else None
        path = path_of(said["onward.module"]) if options is not None else ()
        if path and modules.place_layer(path, f"nn.{title}({options})"):
            made[line] = path
    modules.fill_lists(list(made.values()))
    for line, tree in statements:
        if line in made:
            assert isinstance(tree, ast.Assign) and isinstance(tree.value, ast.Call)
            tree.value = ast.Call(ast.parse(modules.text(made[line]), mode="eval").body, tree.value.args[:1], [])
        _Rewritten(modules).visit(tree)


def _options(tree: ast.stmt, function: str) -> str | None:
    """What a function is called with besides a variable, as text; None for another statement, or where that is computed."""
    match tree:
        case ast.Assign(targets=[ast.Name()], value=ast.Call(func=called, args=[ast.Name(), *rest], keywords=words)) if ast.unparse(called) == function:
            if all(
                isinstance(node, (ast.Constant, ast.Tuple, ast.Load, ast.UnaryOp, ast.USub))
                for item in (*rest, *(w.value for w in words))
                for node in ast.walk(item)
            ):
                return ", ".join([*map(ast.unparse, rest), *(f"{word.arg}={ast.unparse(word.value)}" for word in words)])
    return None


class _Rewritten(ast.NodeTransformer):
    """Reads what is at a path as it is read now: what had gaps may have become a list."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules

    def visit(self, node: ast.AST) -> ast.AST:
        path = chain(node) or ()
        if path and self.modules.find(path) is not None:
            return ast.parse(self.modules.text(path), mode="eval").body
        return super().visit(node)

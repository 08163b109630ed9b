"""A model as a tree of its modules, with repeated blocks shown once.

Exporters leave the hierarchy of the original program in metadata (PyTorch: `pkg.torch.onnx.name_scopes`) or in node
names (`/encoder/layer.0/attention/MatMul`). A tree of at most a few dozen lines follows from it, however many nodes
there are.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from onward.ir import Graph, Model, Node, Value

SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass
class Block:
    """A part of a model: the operators directly in it, the data first read there, and the parts within."""

    name: str
    operators: Counter[str] = field(default_factory=Counter)
    parameters: int = 0
    bytes: int = 0
    children: dict[str, Block] = field(default_factory=dict)

    @cached_property
    def total_operators(self) -> Counter[str]:
        """All operators within."""
        return sum((child.total_operators for child in self.children.values()), self.operators.copy())

    @cached_property
    def total_parameters(self) -> int:
        """All elements of the initialisers first read within."""
        return self.parameters + sum(child.total_parameters for child in self.children.values())

    @cached_property
    def total_bytes(self) -> int:
        """Their bytes."""
        return self.bytes + sum(child.total_bytes for child in self.children.values())

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """Equal for blocks of the same operators, sizes and parts."""
        parts = tuple((name, child.signature) for name, child in sorted(self.children.items()))
        return tuple(sorted(self.operators.items())), self.parameters, parts


@dataclass(frozen=True)
class Line:
    """A row of the outline: how deep, its name, how many blocks of this kind follow each other, and one of them."""

    depth: int
    name: str
    times: int
    block: Block


def scope(node: Node) -> tuple[str, ...]:
    """The names of the modules that a node lies in, outermost first."""
    written = node.metadata.get(SCOPES)
    if written:
        return _from_scopes(written)
    parts = [part for part in node.name.split("/")[:-1] if part]
    return tuple(piece for part in parts for piece in _pieces(part))


def _from_scopes(written: str) -> tuple[str, ...]:
    try:
        scopes = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return ()
    modules = [item for item in scopes[:-1] if isinstance(item, str) and item] if isinstance(scopes, list) else []
    return tuple(_pieces(modules[-1])) if modules else ()


def _pieces(dotted: str) -> list[str]:
    """`encoder.layer.0.attention` -> encoder, layer.0, attention: a number stays with the list it counts."""
    pieces: list[str] = []
    for part in dotted.split("."):
        if part.isdigit() and pieces:
            pieces[-1] += f".{part}"
        else:
            pieces.append(part)
    return pieces


def build_outline(model: Model) -> Block:
    """The tree of a model's modules."""
    root = Block(model.graph.name or "model")
    seen: set[Value] = set()
    for node in all_nodes(model.graph):
        block = root
        for name in scope(node):
            block = block.children.setdefault(name, Block(name))
        block.operators[operator_name(node)] += 1
        for value in node.inputs:
            if value is not None and value.tensor is not None and value not in seen:
                seen.add(value)
                block.parameters += value.tensor.size
                block.bytes += value.tensor.nbytes
    return root


def all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the graphs within."""
    for node in graph.nodes:
        yield node
        for inner in node.subgraphs():
            yield from all_nodes(inner)


def operator_name(node: Node) -> str:
    """The operator, with its domain where that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def lines(block: Block, deepest: int, depth: int = 0) -> Iterator[Line]:
    """The rows below a block, runs of equal neighbours folded into one."""
    if depth >= deepest:
        return
    children = list(block.children.values())
    begin = 0
    while begin < len(children):
        end = begin + 1
        while end < len(children) and _alike(children[begin], children[end]):
            end += 1
        first, last = children[begin], children[end - 1]
        name = first.name if end == begin + 1 else f"{first.name} … {last.name}"
        yield Line(depth, name, end - begin, first)
        yield from lines(first, deepest, depth + 1)
        begin = end


def _alike(left: Block, right: Block) -> bool:
    """Whether two blocks differ by a number in their names only."""
    stem = re.compile(r"\d+")
    return stem.sub("#", left.name) == stem.sub("#", right.name) and left.signature == right.signature

"""A captured program without operators that write in place or that have no translation.

Both are done to single nodes where that is possible: PyTorch's own way, `run_decompositions`, traces the whole program once more, which takes as
long as its capture.
"""

from __future__ import annotations

import copy
import logging
import operator
from functools import cache
from typing import Any

import torch
from torch import fx
from torch._decomp import decomposition_table
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram, default_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from onward.converters.torch import rules
from onward.converters.torch.graph import all_calls, untranslated
from onward.converters.torch.registry import COMPLEX, OPERATORS, find, name_of

logger = logging.getLogger("onward.converters")

DROPOUTS = [f"aten::{kind}dropout" for kind in ("", "feature_", "alpha_", "feature_alpha_")]


def decomposed(program: ExportedProgram) -> ExportedProgram:
    """Without operators that write in place; those with a translation stay, others become simpler ones where PyTorch knows how.

    An operator may have a translation for real numbers alone: where it is given complex ones, it is taken apart too.
    """
    if any(untranslated(program.graph_module)) or _writes(program.graph_module):
        program = _copied(program)
        apart: dict[fx.Node, frozenset[Any]] = {}
        _without_dropout(program)
        while _without_writes(program) or _taken_apart(program, apart):
            pass
        program.graph_module.recompile()
    return _retraced(program)


def _copied(program: ExportedProgram) -> ExportedProgram:
    """The same nodes with the same names, to be changed; a copy of a graph renames those that Python has, such as `input`."""
    made = copy.copy(program)
    made._graph_module = copy.deepcopy(program.graph_module)
    made._graph_signature = copy.deepcopy(program.graph_signature)
    for old, new in zip(program.graph.nodes, made.graph.nodes, strict=True):
        new.name = old.name
    return made


# Single nodes


def _without_dropout(program: ExportedProgram) -> None:
    """Dropout that is off gives its argument itself: what is written into one is written into the other, which PyTorch's own way forgets."""
    for node in program.graph.nodes:
        if node.op == "call_function" and name_of(node.target) in DROPOUTS and not node.args[2]:
            _replace(program, node, node.args[0])


def _replace(program: ExportedProgram, old: fx.Node, new: fx.Node) -> None:
    old.replace_all_uses_with(new)
    program.graph_signature.replace_all_uses(old.name, new.name)
    program.graph.erase_node(old)


def _without_writes(program: ExportedProgram) -> bool:
    """Operators that write into a tensor of their own, of which no view was taken before, give a new one. Returns whether there was one."""
    sharing: dict[int, list[fx.Node]] = {}
    for node in program.graph.nodes:
        for storage in _storages(node):
            sharing.setdefault(storage, []).append(node)
    pure: dict[fx.Node, Any] = {}
    latest: dict[fx.Node, fx.Node] = {}
    for group in sharing.values():
        last = max((place for place, node in enumerate(group) if _is_mutable(node)), default=0)
        made = [_pure(node) if node.args[:1] and node.args[0] in group else None for node in group[1 : last + 1]]
        if last and group[0].op == "call_function" and all(made):
            pure.update(zip(group[1:], made))
            latest.update(dict.fromkeys(group[: last + 1], group[0]))
    for node in program.graph.nodes if pure else ():
        node.args, node.kwargs = fx.map_arg((node.args, node.kwargs), lambda item: latest.get(item, item))
        if node in pure:
            first = latest[node]
            latest.update({item: node for item, known in latest.items() if known is first})
            node.target = pure[node]
            node.meta["val"] = node.meta["val"].clone()
    return bool(pure)


def _storages(node: fx.Node) -> set[int]:
    """The memory that a node writes into, and that of its result; several results are nodes of their own."""
    parameters = node.target._schema.arguments if _is_mutable(node) else ()  # type: ignore[union-attr]
    written = [item for parameter, item in zip(parameters, node.args) if parameter.is_write]
    values = [item.meta.get("val") for item in pytree.tree_leaves([node, written, node.kwargs if parameters else {}]) if isinstance(item, fx.Node)]
    return {value.untyped_storage()._cdata for value in values if isinstance(value, FakeTensor) and value.layout is torch.strided}


def _pure(node: fx.Node) -> Any:
    """The operator that computes what this one writes into its first argument; None for one that does not, or that rounds to the argument's type."""
    name, schema = name_of(node.target), getattr(node.target, "_schema", None)
    base, _, overload = name.removeprefix("aten::").partition(".")
    if schema is None or not name.startswith("aten::") or not base.endswith("_") or [item.is_write for item in schema.arguments].count(True) != 1:
        return None
    packet = getattr(torch.ops.aten, base[:-1], None)
    pure = getattr(packet, overload or "default", None) or _alike(node.target, packet)
    if pure is None or pure._schema.is_mutable or not (find(OPERATORS, name_of(pure)) or pure in _every_rule() or pure._can_decompose()):
        return None
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda item: item.meta["val"])
    made = pure(*args, **kwargs)
    return pure if made.dtype == args[0].dtype else None


def _alike(written: Any, packet: Any) -> Any:
    """The overload that takes what an operator takes: `transpose_` is `transpose.int`."""
    kinds = [str(item.type) for item in written._schema.arguments]
    overloads = (getattr(packet, name) for name in (packet.overloads() if packet else ()))
    return next((item for item in overloads if [str(parameter.type) for parameter in item._schema.arguments] == kinds), None)


def _taken_apart(program: ExportedProgram, apart: dict[fx.Node, frozenset[Any]]) -> bool:
    """Puts what operators without a translation are made of into their places. Returns whether there was one that could be.

    `apart` notes what a node is a part of, so that a rule that gives its own operator ends.
    """
    changed = False
    for node in list(untranslated(program.graph_module)):
        whole = apart.get(node, frozenset())
        done = node.graph is not program.graph or node.target in whole or _is_mutable(node)
        parts = None if done else _parts(node)
        if parts:
            apart.update(dict.fromkeys(_replaced(program, node, parts), whole | {node.target}))
            changed = True
    return changed


def _parts(node: fx.Node) -> fx.GraphModule | None:
    """What a node is made of, by the rule of its operator or else by PyTorch's own definition, which comes in core operators. None where nothing
    is known, where that has constants or graphs of its own, and where it wants to see the whole program."""
    composite = isinstance(node.target, torch._ops.OpOverload) and node.target._can_decompose() and node.target not in _own_rules()
    rule = node.target.decompose if composite else _every_rule().get(node.target)
    if rule is None:
        return None
    given = node.all_input_nodes
    values = [item.meta.get("val") for item in given]

    def call(*tensors: Any) -> Any:
        args, kwargs = fx.map_arg((node.args, node.kwargs), dict(zip(given, tensors)).__getitem__)
        return pytree.tree_leaves(rule(*args, **kwargs))

    mode = detect_fake_mode([values, node.meta.get("val")])
    try:
        with torch.no_grad(), mode, enable_python_dispatcher(), rules.taking_graphs_apart():
            parts = make_fx(call, pre_dispatch=not composite)(*values)
    except Exception:
        logger.debug("%s was not taken apart by itself", node.target, exc_info=True)
        return None
    results, wanted = pytree.tree_leaves(parts.graph.output_node().args[0]), node.meta["val"]
    several = isinstance(wanted, (tuple, list))
    plain = len(results) == (len(wanted) if several else 1) and all(isinstance(item, fx.Node) for item in results)
    picked = not several or all(user.target is operator.getitem for user in node.users)
    return parts if plain and picked and not parts.graph.find_nodes(op="get_attr") else None


def _replaced(program: ExportedProgram, node: fx.Node, parts: fx.GraphModule) -> list[fx.Node]:
    """Replaces a node by its parts, and gives them."""
    known = dict(zip(parts.graph.find_nodes(op="placeholder"), node.all_input_nodes))
    copied = []
    with program.graph.inserting_before(node):
        for inner in parts.graph.nodes:
            if inner.op == "call_function":
                known[inner] = program.graph.node_copy(inner, known.__getitem__)
                known[inner].meta.update({key: node.meta[key] for key in ("nn_module_stack", "stack_trace") if key in node.meta})
                copied.append(known[inner])
    results = [known[item] for item in pytree.tree_leaves(parts.graph.output_node().args[0])]
    if not isinstance(node.meta["val"], (tuple, list)):
        _replace(program, node, results[0])
        return copied
    for user in list(node.users):
        _replace(program, user, results[user.args[1]])
    program.graph.erase_node(node)
    return copied


# Whole programs


def _retraced(program: ExportedProgram) -> ExportedProgram:
    """The same by PyTorch's own way."""
    tried: set[Any] = set()
    while True:
        targets = {node.target for node in untranslated(program.graph_module)}
        if targets <= tried and not _writes(program.graph_module):
            return program
        tried |= targets
        # With example inputs PyTorch adds checks of the inputs' sizes, which it cannot run again where inputs are nested.
        example = program._example_inputs
        program._example_inputs = None
        try:
            with rules.taking_graphs_apart():
                made = program.run_decompositions(_rules(frozenset(tried)))
        finally:
            program._example_inputs = example
        made._example_inputs = example
        program = made


def _writes(module: torch.fx.GraphModule) -> bool:
    """Whether a node writes into its arguments."""
    return any(map(_is_mutable, all_calls(module)))


def _is_mutable(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _rules(apart: frozenset[Any] = frozenset()) -> dict[Any, Any]:
    """How PyTorch takes operators apart, without those that have a translation, unless they are among `apart`."""
    table = {**_every_rule()}
    for target in table.keys() - apart:
        if find(OPERATORS, name_of(target)) or find(COMPLEX, name_of(target)):
            del table[target]
    return table


@cache
def _every_rule() -> dict[Any, Any]:
    table: dict[Any, Any] = dict(default_decompositions().items())
    for target, rule in decomposition_table.items():
        if isinstance(target, torch._ops.OpOverload):
            table.setdefault(target, rule)
    table.update(_own_rules())
    return table


@cache
def _own_rules() -> dict[Any, Any]:
    return dict(rules.overloads())

"""Walks a captured graph of PyTorch, node by node, and writes the ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import fx

from onward.converters.torch import operators  # noqa: F401 (registers the translations)
from onward.converters.torch.emitter import Description, Emitter, Scalar, Tensor, described, to_numpy
from onward.converters.torch.registry import COMPLEX, OPERATORS, find, name_of
from onward.converters.torch.symbols import SYMBOLIC
from onward.errors import ConversionError, UnsupportedOperator
from onward.ir import Value

WITHOUT_MEANING = frozenset({"device", "layout", "pin_memory", "memory_format", "non_blocking", "generator"})
"""Arguments that say nothing about the numbers."""

ASSERTIONS = frozenset({
    "aten::_assert_tensor_metadata", "aten::_assert_scalar", "aten::sym_constrain_range_for_size", "aten::sym_constrain_range",
    "aten::_assert_async.msg", "aten::_assert_async", "torch::_check", "torch.sym::_check", "aten::_functional_assert_async.msg",
    "aten::_linalg_check_errors", "aten::_functional_assert_scalar", "aten::_functional_sym_constrain_range", "torch._C::_set_grad_enabled",
})  # fmt: skip


class Walker:
    """One graph module and the values of its nodes."""

    def __init__(self, c: Emitter, module: fx.GraphModule) -> None:
        self.c = c
        self.module = module
        self.values: dict[fx.Node, Any] = {}

    def run(self, inputs: Sequence[Any]) -> Any:
        """Writes all nodes; `inputs` are the values of the placeholders. Returns what the graph returns."""
        given = iter(inputs)
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = next(given)
            elif node.op == "get_attr":
                self.values[node] = self.attribute(node)
            elif node.op == "call_function":
                self.values[node] = self.call(node)
            elif node.op == "output":
                return self.resolved(node.args[0])
        return None

    def attribute(self, node: fx.Node) -> Any:
        found: Any = self.module
        for part in str(node.target).split("."):
            found = getattr(found, part)
        if isinstance(found, torch.Tensor):
            return Tensor(self.c.array(to_numpy(found)), found.dtype, tuple(found.shape))
        return found

    def resolved(self, item: Any) -> Any:
        """Arguments with nodes replaced by their values."""
        if isinstance(item, fx.Node):
            return self.values[item]
        if isinstance(item, (list, tuple, fx.immutable_collections.immutable_list)):
            return [self.resolved(part) for part in item]
        if isinstance(item, slice):
            return slice(self.resolved(item.start), self.resolved(item.stop), self.resolved(item.step))
        if isinstance(item, dict):
            return {key: self.resolved(part) for key, part in item.items()}
        return item

    def call(self, node: fx.Node) -> Any:
        c = self.c
        name = name_of(node.target)
        if name in ASSERTIONS:
            return None
        if _checks_only(node):
            return [None]
        args = self.resolved(node.args)
        kwargs = {key: self.resolved(item) for key, item in node.kwargs.items() if key not in WITHOUT_MEANING}
        c.origin = origin_of(node)
        meta = described(node.meta.get("val"))
        if node.target in SYMBOLIC:
            return SYMBOLIC[node.target](c, meta, *args)
        if name.endswith("::getitem"):
            return args[0][args[1]]
        c.result, c.operator = meta, name
        translation = translation_of(name, (args, kwargs), meta)
        if translation is None:
            raise UnsupportedOperator(f"operator {name}{_at(node)}")
        try:
            made = translation(c, *args, **kwargs)
        except (TypeError, IndexError, KeyError, AttributeError, ValueError, AssertionError) as problem:
            raise ConversionError(
                f"the translation of {name}{_at(node)} failed: {type(problem).__name__}: {problem}; arguments {node.format_node()}"
            ) from problem
        except UnsupportedOperator as problem:
            raise UnsupportedOperator(f"operator {name}{_at(node)}: {problem}") from problem
        finally:
            c.result = None
        return wrapped(made, meta)


def _checks_only(node: fx.Node) -> bool:
    """Whether a node that keeps effects in order is only a check."""
    return name_of(node.target) == "higher_order::with_effects" and name_of(node.args[1]) in ASSERTIONS


def translation_of(name: str, arguments: Any, meta: Any) -> Any:
    """The registered function for an operator with these arguments, or None."""
    table = COMPLEX if _has_complex(arguments) or _has_complex(meta) else OPERATORS
    return find(table, name)


def _has_complex(item: Any) -> bool:
    if isinstance(item, (Tensor, torch.Tensor, Description)):
        return item.dtype.is_complex
    if isinstance(item, complex):
        return True
    if isinstance(item, (list, tuple)):
        return any(map(_has_complex, item))
    if isinstance(item, dict):
        return any(map(_has_complex, item.values()))
    return False


def wrapped(made: Any, meta: Any) -> Any:
    """Values with what PyTorch knows of them."""
    if isinstance(made, (Tensor, Scalar)) or made is None:
        return made
    if isinstance(made, (list, tuple)):
        metas = meta if isinstance(meta, (list, tuple)) else [meta] * len(made)
        return [wrapped(item, known) for item, known in zip(made, metas)]
    if isinstance(meta, Description):
        return Tensor(made, meta.dtype, meta.shape)
    if isinstance(meta, (torch.SymBool, bool)):
        return Scalar(made, torch.bool)
    if isinstance(meta, (torch.SymFloat, float)):
        return Scalar(made, torch.float64)
    if isinstance(meta, (torch.SymInt, int)):
        return Scalar(made, torch.int64)
    raise ConversionError(f"a result of {type(meta).__name__} is not known here")


def origin_of(node: fx.Node) -> dict[str, str]:
    """Where in the source a node stands: module path and class, and the line of Python."""
    found: dict[str, str] = {}
    stack = node.meta.get("nn_module_stack")
    if stack:
        path, kind = list(stack.values())[-1][:2]
        found["onward.module"] = str(path)
        found["onward.class"] = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    line = line_of(node)
    if line:
        found["onward.source"] = line
    return found


def line_of(node: fx.Node) -> str:
    """`file:line in function` of the innermost frame that the user would look at."""
    frames = [line.strip() for line in str(node.meta.get("stack_trace") or "").splitlines() if line.strip().startswith("File ")]
    if not frames:
        return ""
    outside = [frame for frame in frames if "/torch/" not in frame.replace("\\", "/")]
    file, line, function = (outside or frames)[-1].split(", ")[:3]
    return f"{file[6:-1]}:{line.removeprefix('line ')} {function}"


def _at(node: fx.Node) -> str:
    origin = origin_of(node)
    module = f" in module '{origin['onward.module']}'" if origin.get("onward.module") else ""
    return f"{module} at {origin['onward.source']}" if "onward.source" in origin else module


def untranslated(module: fx.GraphModule) -> Iterator[fx.Node]:
    """The nodes whose operators have no translation for what they are given."""
    for node in all_calls(module):
        name = name_of(node.target)
        if name in ASSERTIONS or _checks_only(node) or name.endswith("::getitem") or node.target in SYMBOLIC:
            continue
        arguments = [item.meta.get("val") for item in node.all_input_nodes]
        if translation_of(name, (arguments, node.args), node.meta.get("val")) is None:
            yield node


def missing(module: fx.GraphModule) -> dict[str, str]:
    """The operators without a translation, each with the place in the source where it comes first."""
    found: dict[str, str] = {}
    for node in untranslated(module):
        name = name_of(node.target)
        of = " of complex numbers" if find(OPERATORS, name) else ""
        found.setdefault(f"{name}{of}", _at(node))
    return found


def draws(module: fx.GraphModule) -> list[str]:
    """The operators that draw random numbers, each with its place in the source; dropout that is off does not."""
    found: dict[str, None] = {}
    for node in all_calls(module):
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and not _is_off(node):
            found[f"{name_of(node.target)}{_at(node)}"] = None
    return list(found)


def _is_off(node: fx.Node) -> bool:
    """Whether an operator that draws in training is told that it is not in training, or to drop nothing (attention, recurrent layers)."""
    parameters = node.target._schema.arguments  # type: ignore[union-attr]
    given = {**dict(zip((parameter.name for parameter in parameters), node.args)), **node.kwargs}
    switches = (parameter for parameter in parameters if parameter.name in ("train", "training", "dropout_p"))
    return any(not given.get(parameter.name, parameter.default_value) for parameter in switches)


def check_supported(module: fx.GraphModule) -> None:
    """Raises UnsupportedOperator that names all operators without a translation, each with its place in the source."""
    found = missing(module)
    if found:
        listed = "\n".join(f"  {name}{where}" for name, where in found.items())
        first = next(iter(found)).split(" ")[0]
        raise UnsupportedOperator(
            f"{len(found)} operators of the model have no translation:\n{listed}\n"
            f"One can be registered with @onward.converters.torch.registry.operator('{first}'); see that module"
        )


def all_calls(module: fx.GraphModule) -> Iterator[fx.Node]:
    """The nodes that compute something, those of inner graphs too."""
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            yield from (node for node in part.graph.nodes if node.op == "call_function")


def give_back(c: Emitter, values: Sequence[Value]) -> None:
    """Makes values the outputs of the inner graph; each through a node of that graph."""
    c.graph.outputs.extend(c.op("Identity", value) for value in values)

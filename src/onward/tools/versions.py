"""convert_version: a model in another version of its operator sets, newer or older."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onward.errors import InferenceError, InvalidArgument, InvalidGraph, UnsupportedOperator
from onward.ir import Model, Node, as_model
from onward.operators import Schema, find_schema, infer, newest_opset
from onward.operators.checker import type_string
from onward.operators.lowering import describe
from onward.operators.schema import known_domains, minimum_ir_version, operator_versions
from onward.passes.inlining import inline_functions
from onward.passes.versions import CHANGED_MEANING, all_nodes
from onward.tools.adapters import DOWNGRADES, MOVES, UPGRADES, move_to_attributes, move_to_inputs
from onward.tools.expansions import EXPANSIONS
from onward.tools.rewriting import CannotConvert, Place

OLDEST_IR_VERSION = 4
"""Since then initialisers need not be inputs, which is how models are written here."""


def convert_version(model: Any, version: int | Mapping[str, int]) -> Model:
    """A copy of the model in other versions of its operator sets, up or down.

    `version` is that of the default domain, or a version for each domain ({"": 17, "ai.onnx.ml": 3}). A node whose
    meaning stays is left as it is; others are rewritten, or expanded into operators that the older version has.
    Functions that hold operators of a converted domain are put in place of their calls. Raises InvalidArgument for a
    version that there is not, and UnsupportedOperator with every node that has no equal there, and why.
    """
    result = as_model(model).copy()
    wanted = {"": version} if isinstance(version, int) else {_domain(name): number for name, number in version.items()}
    for domain, number in wanted.items():
        if domain not in known_domains() or not 1 <= number <= newest_opset(domain):
            raise InvalidArgument(f"{domain or 'ai.onnx'} has no version {number}; the newest is {newest_opset(domain)}")
    if any(_domain(name) in wanted for function in result.functions.values() for name in function.opset_imports):
        inline_functions(result)
    _infer(result)
    problems: list[str] = []
    for domain, number in wanted.items():
        key = next((name for name in result.opset_imports if _domain(name) == domain), domain)
        current = result.opset_imports.get(key, number)
        problems += _Conversion(result, domain, current, number).run()
        result.opset_imports[key] = number
    if problems:
        lines = "".join(f"\n  {line}" for line in problems)
        raise UnsupportedOperator(f"the model cannot be brought to {_shown(wanted)}:{lines}")
    _set_ir_version(result, wanted)
    return result


def _infer(model: Model) -> None:
    """Types and ranks, as far as they can be known: some conversions ask for them."""
    try:
        infer(model)
    except (InferenceError, UnsupportedOperator):
        return  # what a conversion needs and does not find, it names itself


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _shown(wanted: Mapping[str, int]) -> str:
    return ", ".join(f"version {number} of {domain or 'ai.onnx'}" for domain, number in wanted.items())


def _set_ir_version(model: Model, wanted: Mapping[str, int]) -> None:
    needed = max([OLDEST_IR_VERSION, *(minimum_ir_version(domain, number) or 0 for domain, number in wanted.items())])
    if model.functions:
        needed = max(needed, 8)
    if model.ir_version < needed or all(number < newest_opset(domain) for domain, number in wanted.items()):
        model.ir_version = needed


class _Conversion:
    """One domain from one version to another."""

    def __init__(self, model: Model, domain: str, current: int, target: int) -> None:
        self.model, self.domain, self.current, self.target = model, domain, current, target

    def run(self) -> list[str]:
        """Rewrites the nodes; returns what could not be."""
        problems = []
        for node in tuple(all_nodes(self.model.graph)):
            if _domain(node.domain) != self.domain or node.graph is None:
                continue
            try:
                self._convert(node, self.current)
            except CannotConvert as problem:
                problems.append(f"{describe(node)}: {problem}")
        return problems

    def _convert(self, node: Node, version: int) -> None:
        """Step by step through the versions of the node's operator."""
        upwards = self.target > version
        while True:
            here = find_schema(self.domain, node.op_type, version)
            if here is None:
                raise CannotConvert(f"version {version} has no operator {node.op_type}")
            there = find_schema(self.domain, node.op_type, self.target)
            if there is not None and there.since == here.since:
                return
            if upwards:
                following = _next(here)
                if following.since > self.target:
                    return
                made = self._upgrade(node, here, following)
                version = following.since
            elif there is None or there.since < here.since:
                previous = _previous(here)
                made = self._downgrade(node, here, previous)
                version = previous.since if previous is not None else here.since - 1
            if made is not None:  # other operators, which are in the older version, stand there now
                for new in made:
                    self._convert(new, version)
                return

    def _place(self, node: Node) -> Place:
        return Place(self.model, node)

    def _upgrade(self, node: Node, here: Schema, following: Schema) -> list[Node] | None:
        key = (node.op_type, following.since)
        if key in UPGRADES:
            return _made(UPGRADES[key], self._place(node))
        if key in MOVES:
            move_to_inputs(self._place(node), MOVES[key])
        elif following.deprecated:
            raise CannotConvert(f"it is deprecated since version {following.since}")
        else:
            self._require_same(node, here, following)
        for name in [name for name in node.attributes if name not in following.attributes]:
            del node.attributes[name]
        return None

    def _downgrade(self, node: Node, here: Schema, previous: Schema | None) -> list[Node] | None:
        key = (node.op_type, here.since)
        if previous is None:
            if node.op_type not in EXPANSIONS:
                raise CannotConvert(f"it is there since version {here.since}, and is not written as older operators")
            return _made(EXPANSIONS[node.op_type], self._place(node))
        if key in DOWNGRADES:
            made = _made(DOWNGRADES[key], self._place(node))
            if made is not None:
                return made
        elif key in MOVES:
            move_to_attributes(self._place(node), MOVES[key])
        else:
            self._require_same(node, previous, here)
        _drop_defaults(node, here, previous)
        _require_fitting(node, previous)
        return None

    def _require_same(self, node: Node, older: Schema, newer: Schema) -> None:
        """What an older signature says must mean the same under the newer one."""
        if (node.op_type, newer.since) in CHANGED_MEANING:
            raise CannotConvert(f"its meaning changed in version {newer.since}")
        names = [item.name.lower() for item in older.inputs]
        if [item.name.lower() for item in newer.inputs][: len(names)] != names and len(node.inputs) > 1:
            raise CannotConvert(f"its inputs changed in version {newer.since}")
        for name, attribute in older.attributes.items():
            known = newer.attributes.get(name)
            if known is None and name in node.attributes and name != "consumed_inputs":
                raise CannotConvert(f"its attribute {name} ended with version {newer.since}")
            if known is not None and known.default != attribute.default and name not in node.attributes:
                raise CannotConvert(f"the default of its attribute {name} changed in version {newer.since}")


def _made(adapter: Any, place: Place) -> list[Node] | None:
    """What an adapter put there, when it is more than the node itself in its new form."""
    adapter(place)
    changed = place.node.op_type != place.op_type or place.added
    return [*place.added, place.node] if changed else None


def _next(schema: Schema) -> Schema:
    versions = [item for item in operator_versions(schema.domain, schema.name) if item.since > schema.since]
    return min(versions, key=lambda item: item.since, default=schema)


def _previous(schema: Schema) -> Schema | None:
    versions = [item for item in operator_versions(schema.domain, schema.name) if item.since < schema.since]
    return max(versions, key=lambda item: item.since, default=None)


def _drop_defaults(node: Node, here: Schema, previous: Schema) -> None:
    """Attributes that the older version lacks may only say what it does anyway."""
    for name in [name for name in node.attributes if name not in previous.attributes]:
        known = here.attributes.get(name)
        if known is None or node.attributes[name].value != known.default:
            value = node.attributes[name].value
            raise CannotConvert(f"its attribute {name} = {value!r} is there since version {here.since}")
        del node.attributes[name]


def _require_fitting(node: Node, schema: Schema) -> None:
    """The node's inputs, outputs and types must be allowed by the older signature."""
    inputs = list(node.inputs)
    while inputs and inputs[-1] is None:
        inputs.pop()
    if len(inputs) > schema.maximum_inputs:
        raise CannotConvert(f"it has {len(inputs)} inputs, and takes {schema.maximum_inputs} in version {schema.since}")
    if len(inputs) < schema.minimum_inputs:
        raise CannotConvert(f"it has {len(inputs)} inputs, and needs {schema.minimum_inputs} in version {schema.since}")
    node.set_inputs(inputs)
    if len(node.outputs) > schema.maximum_outputs:
        try:
            node.drop_outputs(schema.maximum_outputs)
        except InvalidGraph as problem:
            raise CannotConvert(f"version {schema.since} has {schema.maximum_outputs} outputs: {problem}") from problem
    for kind, values, parameter in (("input", inputs, schema.input), ("output", node.outputs, schema.output)):
        for index, value in enumerate(values):
            text = type_string(value.type) if value is not None and (value.name or value.tensor) else None
            if text is not None and text not in schema.allowed_types(parameter(index)):
                raise CannotConvert(f"{kind} {index} is a {text}, which version {schema.since} does not take")

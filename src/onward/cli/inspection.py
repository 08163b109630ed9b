"""`onward inspect`: what is in a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape

from onward.cli.feeds import model_inputs
from onward.cli.outline import Block, all_nodes, build_outline, lines, operator_name
from onward.cli.output import console, count, element_text, size, table, type_text
from onward.ir import Model, Value
from onward.operators import unsupported_operators

MOST_OPERATORS = 4


def show_model(model: Model, depth: int, all_operators: bool) -> None:
    """Prints head, inputs and outputs, parameters, the tree of modules, and the operators."""
    _show_head(model)
    _show_values("inputs", model_inputs(model))
    _show_values("outputs", model.graph.outputs)
    outline = build_outline(model)
    if outline.children and depth:
        _show_outline(outline, depth)
    _show_operators(model, all_operators)
    missing = unsupported_operators(model)
    if missing:
        console.print(f"[yellow]not implemented here:[/] {escape(', '.join(missing))}")


def _show_head(model: Model) -> None:
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in model.opset_imports.items())
    producer = f"{model.producer_name} {model.producer_version}".strip() or "unknown"
    console.print(f"[bold]{escape(model.graph.name or 'model')}[/]  opset {opsets}, IR version {model.ir_version}, made by {escape(producer)}")
    tensors = [value.tensor for value in model.graph.initializers.values() if value.tensor is not None]
    kinds: Counter[str] = Counter()
    for tensor in tensors:
        kinds[element_text(tensor.dtype)] += tensor.size
    stored = sum(tensor.nbytes for tensor in tensors)
    parts = ", ".join(f"{count(number)} {kind}" for kind, number in kinds.most_common())
    nodes = sum(1 for _ in all_nodes(model.graph))
    external = f", {len(model.external_locations())} external files" if model.external_locations() else ""
    functions = f", {len(model.functions)} functions" if model.functions else ""
    console.print(f"{nodes} nodes{functions}; {len(tensors)} initialisers: {parts or 'none'}, {size(stored)}{external}")
    for key, text in model.metadata.items():
        console.print(f"  {escape(key)}: {escape(text[:200])}")


def _show_values(title: str, values: Sequence[Value]) -> None:
    rows = table("name", "type", title=title, left=2)
    for value in values:
        rows.add_row(escape(value.name), escape(type_text(value.type)))
    console.print(rows)


def _show_outline(outline: Block, depth: int) -> None:
    rows = table("module", "operators", "nodes", "parameters", "size", title="modules", left=2)
    for line in lines(outline, depth):
        operators = line.block.total_operators
        common = ", ".join(f"{name} {number}" for name, number in operators.most_common(MOST_OPERATORS))
        more = f", {len(operators) - MOST_OPERATORS} more" if len(operators) > MOST_OPERATORS else ""
        times = f" [bold]× {line.times}[/]" if line.times > 1 else ""
        rows.add_row(
            "  " * line.depth + escape(line.name) + times,
            escape(common + more),
            str(operators.total()),
            count(line.block.total_parameters),
            size(line.block.total_bytes),
        )
    console.print(rows)


def _show_operators(model: Model, all_operators: bool) -> None:
    counts = Counter(operator_name(node) for node in all_nodes(model.graph))
    shown = counts.most_common(None if all_operators else 15)
    rows = table("operator", "nodes", title="operators")
    for name, number in shown:
        rows.add_row(escape(name), str(number))
    if len(shown) < len(counts):
        rows.add_row(f"{len(counts) - len(shown)} more (--operators shows all)", str(counts.total() - sum(n for _, n in shown)))
    console.print(rows)

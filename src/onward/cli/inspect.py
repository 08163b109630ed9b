"""`onward inspect`: what is in a model, readable for eight thousand nodes too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.tree import Tree

from onward.cli.console import bytes_text, console
from onward.ir import Model, TensorType, Value, load

MOST_LISTED = 40


def show_model(path: Path, every_node: bool) -> None:
    """Prints a tree of the model."""
    model = load(path)
    graph = model.graph
    tree = Tree(f"[bold]{path.name}[/]  {bytes_text(path.stat().st_size)}")
    made = f"{model.producer_name} {model.producer_version}".strip()
    tree.add(f"graph '{graph.name}', IR version {model.ir_version}" + (f", made by {made}" if made else ""))
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in model.opset_imports.items())
    tree.add(f"operator sets: {opsets}")
    inputs = tree.add("inputs")
    for value in graph.inputs:
        if value.tensor is None:
            inputs.add(_describe(value))
    outputs = tree.add("outputs")
    for value in graph.outputs:
        outputs.add(_describe(value))
    _add_parameters(tree, model)
    counts = Counter(f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in graph.nodes)
    operators = tree.add(f"operators: {len(graph.nodes)} nodes of {len(counts)} kinds")
    for name, count in counts.most_common(MOST_LISTED):
        operators.add(f"{count:>6}  {name}")
    if len(counts) > MOST_LISTED:
        operators.add(f"... and {len(counts) - MOST_LISTED} more kinds")
    if model.functions:
        functions = tree.add(f"functions: {len(model.functions)}")
        for _, name, _ in list(model.functions)[:MOST_LISTED]:
            functions.add(name)
    _add_modules(tree, model)
    if every_node:
        nodes = tree.add("nodes")
        for node in graph.nodes:
            nodes.add(repr(node))
    console.print(tree)


def _describe(value: Value) -> str:
    kind = value.type
    if isinstance(kind, TensorType):
        shape = "unknown rank" if kind.shape is None else ", ".join("?" if e is None else str(e) for e in kind.shape)
        return f"{value.name}: {kind.dtype.name.lower()}\\[{shape}]"
    return f"{value.name}: {kind}"


def _add_parameters(tree: Tree, model: Model) -> None:
    tensors = [value.tensor for value in model.graph.initializers.values() if value.tensor is not None]
    total = sum(tensor.size for tensor in tensors)
    branch = tree.add(f"parameters: {total:,} in {len(tensors)} tensors, {bytes_text(sum(t.nbytes for t in tensors))}")
    for kind, count in Counter(tensor.dtype.name.lower() for tensor in tensors).most_common():
        size = sum(tensor.nbytes for tensor in tensors if tensor.dtype.name.lower() == kind)
        branch.add(f"{count:>6}  {kind}  {bytes_text(size)}")
    for tensor in sorted(tensors, key=lambda tensor: -tensor.nbytes)[:5]:
        branch.add(f"largest: {tensor.name}  {tensor.dtype.name.lower()}{list(tensor.shape)}".replace("[", "\\["))


def _add_modules(tree: Tree, model: Model) -> None:
    """The hierarchy in the nodes' names; blocks that repeat under numbers are shown once."""
    groups: Counter[str] = Counter()
    for node in model.graph.nodes:
        parts = [part for part in node.name.replace(".", "/").split("/")[:-1] if part]
        if parts:
            groups["/".join("*" if part.isdecimal() else part for part in parts[:4])] += 1
    if len(groups) > 1:
        branch = tree.add("modules (numbered blocks shown once)")
        for name, count in groups.most_common(MOST_LISTED):
            branch.add(f"{count:>6}  {name}")

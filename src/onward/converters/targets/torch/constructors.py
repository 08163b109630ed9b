"""Classes that differ in nothing but whole numbers of their `__init__` become one, whose constructor takes these numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from onward.converters.targets.printing.naming import Names

LONGEST = 120
"""Letters of a line, where a list of layers can be several."""

MOST = 6
"""Arguments of a constructor: of more, nobody would know what they are."""

CONVOLUTION = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
"""Options of convolutions that are not written where they have these values."""

POSITIONS = {
    "nn.Linear": ("in_features", "out_features"), "nn.Embedding": ("num_embeddings", "embedding_dim"), "nn.GroupNorm": ("num_groups", "num_channels"), "range": ("depth",),
    **dict.fromkeys(("nn.LSTM", "nn.GRU", "nn.RNN"), ("input_size", "hidden_size")),
    **{f"nn.Conv{kind}{rank}d": ("in_channels", "out_channels", "kernel_size") for kind in ("", "Transpose") for rank in (1, 2, 3)},
    **{f"nn.BatchNorm{rank}d": ("num_features",) for rank in (1, 2, 3)},
}  # fmt: skip
"""What the arguments of PyTorch's layers are."""

Role = tuple[str, ast.Constant]
"""What a whole number is for, and its place."""


def generalized(texts: Mapping[str, str], titles: Mapping[str, str], reserved: Iterable[str]) -> list[str]:
    """The texts of classes, each after those that it uses. `texts` are those with a class for each set of numbers, by name; only classes of the same
    title become one. Nothing but `Model`, which is one of them, may have a name among `reserved`."""
    classes = {name: _parsed(text) for name, text in texts.items()}
    replaced: dict[str, tuple[str, list[int]]] = {}
    signatures: dict[str, list[str]] = {}
    for level in _levels(classes):
        groups: dict[tuple[str, str], list[str]] = {}
        for name in level:
            _adapt(classes[name], replaced)
            groups.setdefault((titles.get(name, name), _template(classes[name], signatures)), []).append(name)
        for names in groups.values():
            columns = list(zip(*([place.value for _, place in _roles(classes[name], signatures)] for name in names)))
            varied = list(dict.fromkeys(column for column in columns if len(set(column)) > 1))
            if not varied or len(varied) > MOST:
                continue
            first = names[0]
            signatures[first] = _take_arguments(classes[first], columns, varied, signatures)
            for place, name in enumerate(names):
                replaced[name] = first, [column[place] for column in varied]
                if name != first:
                    del classes[name]
    final = Names(reserved)
    renamed = {name: name if name not in titles else final.fresh(titles[name]) for name in classes}
    for name, item in classes.items():
        item.name = renamed[name]
        _without_defaults(item)
        for call in _calls(item):
            if _callee(call) in renamed:
                call.func = ast.Name(renamed[_callee(call)])
    return [_text(item) for item in classes.values()]


def _text(tree: ast.ClassDef) -> str:
    """The text of a class; long lists of layers have a line for each."""
    first, *lines = ast.unparse(ast.fix_missing_locations(tree)).replace(":\n\n", ":\n", 1).splitlines()
    result = [first]
    for line in lines:
        start = next((word for word in ("nn.Sequential(", "nn.ModuleList([") if f" = {word}" in line), "")
        if len(line) <= LONGEST or not start:
            result.append(line)
            continue
        before, _, _ = line.partition(start)
        indent = " " * (len(line) - len(line.lstrip()))
        (call,) = (node for node in ast.walk(ast.parse(line.strip())) if isinstance(node, ast.Call) and f"{_callee(node)}(" == start.rstrip("["))
        items = call.args[0].elts if isinstance(call.args[0], ast.List) else call.args
        result += [before + start, *(f"{indent}    {ast.unparse(item)}," for item in items), indent + ("])" if start.endswith("[") else ")")]
    return "\n".join(result) + "\n"


def _parsed(text: str) -> ast.ClassDef:
    tree = ast.parse(text).body[0]
    assert isinstance(tree, ast.ClassDef)
    for call in _calls(tree):
        if _callee(call).startswith("nn.Conv"):
            given = {item.arg: item for item in call.keywords}
            options = [given.pop(name, ast.keyword(name, ast.Constant(value))) for name, value in CONVOLUTION.items()]
            call.keywords = [*options, *given.values()]
    return tree


def _without_defaults(tree: ast.ClassDef) -> None:
    for call in _calls(tree):
        if _callee(call).startswith("nn.Conv"):
            call.keywords = [
                item for item in call.keywords if not (isinstance(item.value, ast.Constant) and item.value.value == CONVOLUTION.get(item.arg or ""))
            ]


def _calls(tree: ast.ClassDef) -> Iterator[ast.Call]:
    """The calls of the constructor, in the order of the text."""
    start = next((item for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    pending: list[ast.AST] = [start] if start is not None else []
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Call):
            yield node
        pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _callee(call: ast.Call) -> str:
    """Layers of PyTorch's begin with `nn.`, classes of the module do not."""
    return ast.unparse(call.func)


def _roles(tree: ast.ClassDef, signatures: Mapping[str, Sequence[str]]) -> Iterator[Role]:
    """The whole numbers that calls in the constructor are given."""
    for call in _calls(tree):
        name = _callee(call)
        known = POSITIONS.get(name) or signatures.get(name, ())
        slots = [(known[place] if place < len(known) else "size", item) for place, item in enumerate(call.args)]
        for role, item in [*slots, *((item.arg or "size", item.value) for item in call.keywords)]:
            if isinstance(item, ast.Constant) and type(item.value) is int:
                yield role, item


def _template(tree: ast.ClassDef, signatures: Mapping[str, Sequence[str]]) -> str:
    """The class without its name and these numbers."""
    places = [(place, place.value) for _, place in _roles(tree, signatures)]
    for place, _ in places:
        place.value = 0
    text = ast.dump(ast.Module([*tree.body], []))
    for place, value in places:
        place.value = value
    return text


def _levels(classes: Mapping[str, ast.ClassDef]) -> list[list[str]]:
    """The names of classes: first those that use no other, then those that use these, and so on."""
    depths: dict[str, int] = {}
    for name, tree in classes.items():  # those that others use come first
        depths[name] = 1 + max((depths.get(_callee(call), 0) for call in _calls(tree)), default=0)
    return [[name for name, found in depths.items() if found == depth] for depth in sorted(set(depths.values()))]


def _adapt(tree: ast.ClassDef, replaced: Mapping[str, tuple[str, list[int]]]) -> None:
    """Calls the classes that became of others, and makes equal neighbours in a list with one expression."""
    for call in _calls(tree):
        if _callee(call) in replaced:
            name, numbers = replaced[_callee(call)]
            call.func, call.args = ast.Name(name), [ast.Constant(value) for value in numbers]
    for call in _calls(tree):
        if _callee(call) == "nn.ModuleList" and call.args and isinstance(call.args[0], ast.List):
            call.args[0].elts = _runs(call.args[0].elts)
        elif _callee(call) == "nn.Sequential":
            call.args = _runs(call.args)


def _runs(items: Sequence[ast.expr]) -> list[ast.expr]:
    result: list[ast.expr] = []
    for text, run in groupby(items, ast.unparse):
        count = len(list(run))
        result.append(ast.parse(f"f(*[{text} for _ in range({count})])" if count > 1 else f"f({text})", mode="eval").body.args[0])  # type: ignore[attr-defined]
    return result


def _take_arguments(
    tree: ast.ClassDef, columns: Sequence[tuple[int, ...]], varied: Sequence[tuple[int, ...]], signatures: Mapping[str, Sequence[str]]
) -> list[str]:
    """Puts arguments in the place of the numbers that vary, and gives their names."""
    roles = list(_roles(tree, signatures))
    names = Names(["self", "nn", "torch", "F", "range"])
    wishes = [_wish([role for (role, _), column in zip(roles, columns) if column == wanted]) for wanted in varied]
    arguments = {column: names.fresh(wish) for column, wish in zip(varied, wishes)}
    start = next(item for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
    start.args.args += [ast.arg(name) for name in arguments.values()]
    places = {id(place): arguments[column] for (_, place), column in zip(roles, columns) if column in arguments}
    _Naming(places).visit(start)
    return list(arguments.values())


def _wish(roles: Sequence[str]) -> str:
    """The name of an argument that is used in these roles: what goes in and comes out is neither."""
    directed = [role.split("_") for role in roles if role.startswith(("in_", "out_", "hidden_"))]
    if not directed:
        return roles[0].removeprefix("num_")
    first, what = directed[0][0], directed[0][-1]
    if all(direction == first for direction, *_ in directed):
        return f"{first}_{what}"
    return what if first == "in" else f"hidden_{what}"


class _Naming(ast.NodeTransformer):
    def __init__(self, places: Mapping[int, str]) -> None:
        self.places = places

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name(self.places[id(node)]) if id(node) in self.places else node

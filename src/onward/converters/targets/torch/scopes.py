"""Which sub-module a statement belongs to where its node does not say so, or says what another has computed once for all.

Exporters make nodes of their own, which say nothing, and compute once what several modules compute of the same data: it stands in the first of them,
which would be a class unlike the others and give it back.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from onward.converters.targets.printing.naming import Names
from onward.converters.targets.torch.modules import Modules
from onward.converters.targets.torch.statements import Path, Reading, Statement


def place(statements: Sequence[Statement], said: Sequence[Path | None], modules: Modules) -> None:
    """Gives the statements their scopes; `said` is what the node of each says."""
    maker = {name: item for item in statements for name in item.defined}
    readers: dict[str, list[Statement]] = {}
    for item in statements:
        for name in item.read:
            readers.setdefault(name, []).append(item)
    silent = {id(item) for item, scope in zip(statements, said) if scope is None}
    for item in statements:
        if id(item) in silent:
            before = [maker[name].scope for name in item.read if name in maker]
            after = [other.scope for other in _readers(item, readers) if id(other) not in silent]
            item.scope = modules.outer(_common([*before, *after])) if before else ()
    for item in reversed(statements):
        _share(item, maker, readers, modules)


def given_to_parts(modules: Modules, statements: Sequence[tuple[ast.stmt, Path]]) -> list[tuple[ast.stmt, Path]]:
    """Makes variables of the tensors of a module that its parts read, so that they are arguments of these, and gives the statements that define them.

    `statements` come with the scopes that their nodes say.
    """
    names = Names({name for tree, _ in statements for item in [Statement(tree, ())] for name in (*item.defined, *item.read)})
    found: dict[Path, str] = {}
    for tree, scope in statements:
        for path in Statement(tree, ()).paths():
            if path and path not in found and len(path) <= len(scope) and _is_within(scope, path[:-1]) and modules.holds(path):
                found[path] = names.fresh(path[-1])
        Reading({path: found[path] for path in found if len(path) <= len(scope) and _is_within(scope, path[:-1])}).visit(tree)
    return [(ast.parse(f"{name} = {modules.text(path)}").body[0], path[:-1]) for path, name in found.items()]


def _share(item: Statement, maker: dict[str, Statement], readers: dict[str, list[Statement]], modules: Modules) -> None:
    """A statement that its own scope and others read, and that needs nothing of its scope, stands where they meet, with what it needs."""
    scope = item.scope
    inside = [_is_within(other.scope, scope) for other in _readers(item, readers)]
    if not scope or all(inside) or not any(inside):
        return
    needed, pending = [item], [item]
    while pending:
        found = [maker[name] for name in pending.pop().read if name in maker and _is_within(maker[name].scope, scope)]
        pending += [other for other in found if other not in needed]
        needed += [other for other in found if other not in needed]
    if any(True for other in needed for _ in other.paths()):
        return
    meeting = modules.outer(_common([scope, *(other.scope for other in _readers(item, readers))]))
    for other in needed:
        other.scope = meeting


def _readers(item: Statement, readers: dict[str, list[Statement]]) -> list[Statement]:
    return [other for name in item.defined for other in readers.get(name, ())]


def _is_within(scope: Path, outer: Path) -> bool:
    return scope[: len(outer)] == outer


def _common(scopes: Sequence[Path]) -> Path:
    """The longest beginning of all paths."""
    length = 0
    while all(len(scope) > length for scope in scopes) and len({scope[length] for scope in scopes}) == 1:
        length += 1
    return scopes[0][:length]

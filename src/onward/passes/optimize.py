"""The optimiser: preparation, then folding, rules and duplicates by turns until nothing changes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from onward.errors import InvalidArgument
from onward.ir import Model, as_model
from onward.passes.branches import inline_known_branches
from onward.passes.duplicates import merge_duplicates
from onward.passes.facts import Facts
from onward.passes.folding import fold_constants
from onward.passes.inlining import inline_functions
from onward.passes.preparation import constants_are_initializers, fix_dimensions, weights_are_no_inputs
from onward.passes.rewrite import Report, Rewriter, Rule, remove_dead
from onward.passes.rules import all_rules
from onward.passes.versions import Original, raise_version, settle_version

PASSES = (
    "weights are no inputs",
    "inline functions",
    "constants are initializers",
    "newer operators",
    "inline known branches",
    "fold constants",
    "merge duplicates",
    "remove dead code",
)
"""The names of the passes that are no rules; each can be disabled like a rule."""

MOST_ROUNDS = 20


def optimize(
    model: Any,
    *,
    disable: Iterable[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    report: Report | None = None,
    native: bool = False,
    trained: Iterable[str] = (),
) -> Model:
    """A model that computes the same with less work. The argument (path, bytes, Model, ModelProto) is not changed.

    Names of inputs and outputs stay. `disable` names rules and passes to leave out; `dimensions` gives free dimensions
    of the inputs a size, by name or denotation; `shapes` gives whole inputs a shape; `report` is filled with what was
    done; `native` adds rules for models that only this package is to run; `trained` are initialisers whose numbers may change, which no rule looks at. Raises InvalidArgument for an unknown name and InferenceError for a model that contradicts itself.
    """
    started = time.perf_counter()
    result = as_model(model).copy()
    report = report if report is not None else Report()
    left_out = _checked(disable)
    report.nodes_before = len(result.graph.nodes)
    if dimensions or shapes:
        report.count("fix dimensions", fix_dimensions(result, dimensions or {}, shapes))
    original = _prepare(result, left_out, report)
    rules = [rule for rule in all_rules() if rule.name not in left_out and (native or not rule.native)]
    facts = Facts(result, [result.graph.initializers[name] for name in trained])
    for _ in range(MOST_ROUNDS):
        report.rounds += 1
        if not _round(facts, rules, left_out, report):
            break
    if original is not None:
        settle_version(result, original)
        remove_unused_constants(facts)
    report.nodes_after = len(result.graph.nodes)
    report.seconds = time.perf_counter() - started
    return result


def _checked(disable: Iterable[str]) -> frozenset[str]:
    names = frozenset([disable] if isinstance(disable, str) else disable)
    known = {rule.name for rule in all_rules()} | set(PASSES)
    if names - known:
        raise InvalidArgument(f"there is no rule or pass {sorted(names - known)}; known are {sorted(known)}")
    return names


def _prepare(model: Model, left_out: frozenset[str], report: Report) -> Original | None:
    if "weights are no inputs" not in left_out:
        report.count("weights are no inputs", weights_are_no_inputs(model))
    if "inline functions" not in left_out:
        report.count("inline functions", inline_functions(model))
    if "constants are initializers" not in left_out:
        report.count("constants are initializers", constants_are_initializers(model))
    return None if "newer operators" in left_out else raise_version(model)


def _round(facts: Facts, rules: list[Rule], left_out: frozenset[str], report: Report) -> int:
    """One turn of everything; returns how much was done."""
    total = 0
    graph = facts.model.graph
    if "inline known branches" not in left_out:
        count = inline_known_branches(facts)
        report.count("inline known branches", count)
        total += count
    if "fold constants" not in left_out:
        count = fold_constants(facts)
        report.count("fold constants", count)
        total += count
    total += Rewriter(facts, rules, report).run()
    if "merge duplicates" not in left_out:
        count = merge_duplicates(facts)
        report.count("merge duplicates", count)
        total += count
    if "remove dead code" not in left_out:
        count = remove_dead(graph, reversed(graph.nodes), facts)
        report.count("remove dead code", count)
        total += count + remove_unused_constants(facts)
    return total


def remove_unused_constants(facts: Facts) -> int:
    """Drops initialisers that nobody reads; those that a caller may feed stay."""
    graph = facts.model.graph
    outputs = set(graph.outputs)
    unused = [
        name for name, value in graph.initializers.items() if not value.uses and value not in outputs and value not in facts.fed and not facts.is_pinned(value)
    ]
    for name in unused:
        del graph.initializers[name]
    return len(unused)

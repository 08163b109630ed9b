"""The routines of the tensor program as statements: one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.converters.targets.printing.forms import bare, wish
from onward.errors import UnsupportedOperator
from onward.program.array import Array, Routine, RoutineOutput
from onward.program.trees import START, Trees

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer
    from onward.converters.targets.printing.words import Words

ROUTINES: dict[str, Callable[[Printer, Routine, Sequence[str]], None]] = {}
"""name -> function(printer, routine, texts of the inputs), which writes the statements and enters the results"""


def rule(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers the statements of a routine."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        ROUTINES[name] = function
        return function

    return register


def refuse_unknown(words: Words, results: Sequence[Any]) -> None:
    """Raises UnsupportedOperator with all operators that need a routine which has no rule here, or elements that the target lacks."""
    missing: dict[str, None] = {}
    seen: set[Any] = set()
    pending = list(results)
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, Array) and item not in seen:
            seen.add(item)
            pending.extend(item.sources)
            if isinstance(item, RoutineOutput):
                body = item.routine.attributes.get("body")
                pending.extend((*body.following, *body.collected) if body is not None else ())
                pending.extend(definition_of(item.routine))
                if item.routine.name not in ROUTINES or item.routine.name == "host" and not definition_of(item.routine):
                    missing[_where(item) or item.routine.name] = None
            if not words.knows(item.dtype):
                missing[f"{_where(item) or item.label} of elements {item.dtype.name.lower()}"] = None
    if missing:
        raise UnsupportedOperator("the target has no equivalent of " + "; ".join(sorted(missing)))


def _where(array: Array) -> str:
    return ", ".join(origin.op_type + (f" (node '{origin.node_name}')" if origin.node_name else "") for origin in array.origins)


def _results(printer: Printer, routine: Routine, text: str, wishes: Sequence[str] = ()) -> None:
    """The results are the values of one expression; symbols that the routine defines are extents of them."""
    names = [printer.names.fresh(wish) for wish in wishes or [routine.name] * len(routine.results)]
    printer.write(f"{', '.join(names)} = {text}")
    printer.known.update(zip(routine.results, names))
    for name, (shape, _) in zip(names, routine.outputs):
        for axis, extent in enumerate(shape):
            if extent in routine.symbols:
                printer.sizes.setdefault(str(extent), printer.words.size(name, axis))


@rule("read_sizes")
def read_sizes(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    names = [printer.names.fresh(str(symbol)) for symbol in routine.symbols]
    if names:
        printer.write(f"{', '.join(names)}{',' if len(names) == 1 else ''} = {printer.words.sizes(inputs[0])}")
    printer.known[routine.results[0]] = inputs[0]
    printer.sizes.update(zip(map(str, routine.symbols), names))


@rule("cumulative")
def cumulative(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    given = routine.attributes
    axis = given["axis"] % routine.results[0].rank
    text = printer.words.cumulative(inputs[0], given["operation"], axis, bool(given["exclusive"]), bool(given["reverse"]))
    _results(printer, routine, printer.words.fitted(text, routine.results[0].dtype))


@rule("top_k")
def top_k(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    count = printer.extent(routine.results[0].shape[-1])
    _results(printer, routine, printer.words.top_k(inputs[0], count, bool(routine.attributes["largest"])))


@rule("scatter")
def scatter(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    data, rows, updates = inputs
    text = printer.words.scatter(data, rows, updates, routine.attributes["reduction"])
    _results(printer, routine, printer.words.fitted(text, routine.results[0].dtype))


@rule("non_zero")
def non_zero(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    _results(printer, routine, printer.words.non_zero(inputs[0]))


@rule("non_max_suppression")
def non_max_suppression(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    _results(printer, routine, printer.words.non_max_suppression(inputs))


@rule("bit_cast")
def bit_cast(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    _results(printer, routine, printer.words.bit_cast(inputs[0], routine.inputs[0].dtype, routine.attributes["dtype"]))


@rule("tree_ensemble")
def tree_ensemble(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    trees: Trees = routine.attributes["trees"]
    tables = [
        "None" if table is None else printer.weight(np.asarray(table), name)
        for name in ("feature", "low", "high", "yes", "no", "missing", "roots", "values", "targets")
        for table in [getattr(trees, name)]
    ]
    start = printer.weight(np.full(trees.outputs, START[trees.combine], trees.values.dtype), "start")
    depth = str(int(trees.depths.max(initial=0)))
    _results(printer, routine, printer.words.helper("tree_ensemble", inputs[0], *tables, depth, start, repr(trees.combine)))


@rule("native")
def native(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    """What the target has words of its own for (`native.py`)."""
    said = routine.attributes["write"](printer)
    if isinstance(said, tuple):
        printer.known.update(zip(routine.results, said))
    else:
        _results(printer, routine, bare(said), [wish(result) for result in routine.results])


def definition_of(routine: Routine) -> list[Array]:
    """What a routine computes, as an array of the program, where it has that form too."""
    return [routine.attributes["definition"]] if "definition" in routine.attributes else []  # type: ignore[list-item]


@rule("host")
@rule("pairwise_coupling")
def defined(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    """A shorter way to what the program can say, too, which is printed instead."""
    printer.known[routine.results[0]] = printer.array(definition_of(routine)[0])


@rule("recurrence")
def recurrence(printer: Printer, routine: Routine, inputs: Sequence[str]) -> None:
    """A function of one step, and a call that takes all steps."""
    body: Any = routine.attributes["body"]
    count = len(body.states)
    for array in body.captured:
        printer.array(array)
    length = printer.extent(routine.attributes["length"])
    step, place = printer.names.fresh("step"), printer.names.fresh("place")
    states = [printer.names.fresh("state") for _ in body.states]
    printer.write(f"def {step}({', '.join([place, *states])}):")
    outer = dict(printer.known), dict(printer.sizes), set(printer.routines)
    printer.indent += 1
    printer.sizes[str(body.time)] = place
    printer.traced |= {str(body.time)} if printer.words.traces_loops else set()
    printer.known.update(zip(body.states, states))
    printer.known.update((item, printer.words.slice(text, [place])) for item, text in zip(body.slices, inputs[count:]))
    rows = [printer.array(item) for item in body.collected]
    following = [printer.array(item) for item in body.following]
    printer.write(f"return {printer.words.tuple(following)}, {printer.words.tuple(rows)}")
    printer.indent -= 1
    printer.known, printer.sizes, printer.routines = outer
    condition = "None" if body.condition is None else str(body.states.index(body.condition))
    kinds = [f"({printer.shape(item.shape)}, {printer.words.dtype(item.dtype)})" for item in body.collected]
    backwards = str(bool(routine.attributes["backwards"]))
    initial = printer.words.tuple(inputs[:count])
    names = [printer.names.fresh(name) for name in ["state"] * count + ["collected"] * len(rows)]
    call = printer.words.helper("recurrence", step, initial, length, backwards, condition, f"[{', '.join(kinds)}]")
    printer.write(f"{printer.words.tuple(names)[1:-1]} = {call}")
    printer.known.update(zip(routine.results, names))

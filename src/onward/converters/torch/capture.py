"""From a module of PyTorch to a graph of its operators: torch.export, with sizes that may vary found by itself; by way of TorchScript
where torch.export refuses the module."""

from __future__ import annotations

import inspect
import io
import logging
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram, export
from torch.fx.experimental import _config as sizes
from torch.utils import _pytree as pytree

from onward.converters.torch import operators  # noqa: F401 (registers the translations)
from onward.converters.torch.buffers import as_it_is
from onward.converters.torch.caches import register_caches
from onward.converters.torch.decomposition import decomposed
from onward.converters.torch.functions import capturable
from onward.converters.torch.graph import all_calls
from onward.converters.torch.order import orders
from onward.converters.torch.scans import scanning
from onward.converters.torch.stand_ins import standing_in
from onward.converters.torch.torchscript import exported, parameters, scripts
from onward.errors import ConversionError

logger = logging.getLogger("onward.converters")


@dataclass
class Example:
    """Arguments of a call."""

    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    gathering: str = ""
    gathered: tuple[str, ...] = ()
    """The parameter that takes other keywords, and those that it takes."""
    named: int | None = None
    """Arguments before those that `*` gathers, if the module gathers any."""

    def replaced(self, arguments: Any, keywords: Any) -> Example:
        """The same call with other values."""
        return replace(self, arguments=arguments, keywords=keywords)


@dataclass
class Capture:
    """A captured module, the arguments it was captured with, and what was decided on the way."""

    program: ExportedProgram
    example: Example
    notes: list[str] = field(default_factory=list)
    may_not_end: bool = False
    """Whether a loop of the module itself goes on for as long as data say: there may be data for which it goes on for ever."""
    ordered: Sequence[str] = ()
    """The module's own operators whose result depends on the order of equal elements."""

    @classmethod
    def of(cls, program: ExportedProgram, example: Example, notes: Sequence[str] = ()) -> Capture:
        """What torch.export gave, taken apart as far as translations need."""
        loops = any("while_loop" in str(node.target) for node in all_calls(program.graph_module))
        return cls(decomposed(program), example, list(notes), loops, orders(program.graph_module))


def example_of(module: Any, given: Any) -> Example:
    """Arguments from what the caller gave: a tuple of arguments, a mapping of keywords, or one argument.

    Raises ConversionError when nothing was given and the module has no `dummy_inputs`.
    """
    if given is None:
        given = getattr(module, "dummy_inputs", None)
        if given is None:
            raise ConversionError(
                f"{type(module).__name__} does not say what its inputs are: pass example_inputs, a tuple of arguments or a dictionary of keywords"
            )
    if isinstance(given, Example):
        return given
    if isinstance(given, Mapping):
        return Example((), {key: _tensor(item) for key, item in given.items()})
    if isinstance(given, tuple):
        return Example(tuple(_tensor(item) for item in given))
    return Example((_tensor(given),))


def _tensor(item: Any) -> Any:
    import numpy as np

    return torch.as_tensor(item) if isinstance(item, np.ndarray) else item


def captures(module: torch.nn.Module, example: Example, dynamic_shapes: Any) -> Iterator[Capture]:
    """The module's graph, in one form where the user says which sizes are open; else in several, each with fewer open sizes:
    all that PyTorch's analysis finds, those of the rows, none.

    An example of one row is captured with two, so that the number of rows stays free; where only some tensors have one row, PyTorch is
    asked to take no notice of that. Raises ConversionError when PyTorch
    captures none.
    """
    problem: Exception | None = None
    register_caches()
    example = _by_parameters(module, example)
    trained = ["the module was in training mode; it was converted in inference mode"] if _switches(module) else []
    for form, given, said in _forms(module, example, dynamic_shapes):
        found = False
        for used, shapes, note, oblivious in _attempts(given, dynamic_shapes):
            try:
                with _quietly(), _inference(module), _inference(form), standing_in(), scanning(), capturable(), sizes.patch(backed_size_oblivious=oblivious):
                    made = Capture.of(_exported(form, used, shapes), used, trained + said + ([note] if note else []))
            except Exception as failure:  # (PyTorch raises whatever the module raises)
                problem = problem or failure
                logger.debug("capture failed", exc_info=True)
                continue
            found = True
            yield made
        if found:
            return
    first = " ".join((str(problem).strip().splitlines() or [""])[:6])[:800]
    kind = type(problem).__name__
    raise ConversionError(f"PyTorch could not capture {type(module).__name__}{_place(problem)}: {kind}: {first}") from problem


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what PyTorch writes of a failed capture, pages long, unless the user asked for it: other ways are tried, and the exception says it."""
    if "TORCH_LOGS" in os.environ:
        yield
        return
    loggers = [item for name, item in logging.root.manager.loggerDict.items() if name.split(".")[0] == "torch" and isinstance(item, logging.Logger)]
    levels = {handler: handler.level for item in loggers for handler in item.handlers}
    for handler in levels:
        handler.setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)


def _place(problem: Exception | None) -> str:
    """The line of the module that PyTorch stopped at."""
    frames = traceback.extract_tb(problem.__traceback__ if problem else None)
    others = (str(Path(torch.__file__).parent), str(Path(__file__).parents[2]), "<")
    apart = [frame for frame in frames if not frame.filename.startswith(others)]
    return f" at {apart[-1].filename}:{apart[-1].lineno} in {apart[-1].name}" if apart else ""


def _forms(module: torch.nn.Module, example: Example, dynamic_shapes: Any) -> Iterator[tuple[torch.nn.Module, Example, list[str]]]:
    """The module itself, then as TorchScript, which takes arguments by their places; and what is to be said of that."""
    yield module, example, []
    placed = example if not example.keywords else _by_places(module, example) if not dynamic_shapes else None
    if placed is not None and not isinstance(module, torch.jit.ScriptModule):
        with _inference(module), as_it_is(module):
            for form, said in scripts(module, placed.arguments):
                yield form, placed, said


def _by_places(module: torch.nn.Module, example: Example) -> Example | None:
    """Keywords as arguments, where they are the module's first parameters."""
    known = list(inspect.signature(module.forward).parameters)[: len(example.keywords)]
    return Example(tuple(example.keywords.values())) if not example.arguments and list(example.keywords) == known else None


def _by_parameters(module: torch.nn.Module, example: Example) -> Example:
    """Keywords in the order of the parameters, those that `**` gathers last, as torch.export lists them; TorchScript has arguments alone."""
    if isinstance(module, torch.jit.ScriptModule):
        rest = [example.keywords[name] for name in parameters(module) if name in example.keywords]
        return Example((*example.arguments, *rest))
    known = inspect.signature(module.forward).parameters
    named = {name: example.keywords[name] for name in known if name in example.keywords}
    others = {name: item for name, item in example.keywords.items() if name not in named}
    gathers = [name for name, parameter in known.items() if parameter.kind is parameter.VAR_KEYWORD]
    places = [place for place, parameter in enumerate(known.values()) if parameter.kind is parameter.VAR_POSITIONAL]
    return Example(example.arguments, {**named, **others}, gathers[0] if others and gathers else "", tuple(others), places[0] if places else None)


def _attempts(example: Example, dynamic_shapes: Any) -> list[tuple[Example, Any, str, bool]]:
    """What to capture with: the example, open sizes, what is to be said of them, and whether a size of 1 is like others."""
    if dynamic_shapes is not None:
        return [(example, _wanted(example, dynamic_shapes), "", False)]
    every = lambda item: {axis: Dim.AUTO for axis in range(item.dim())}  # noqa: E731
    rows = lambda item: {0: Dim.AUTO} if item.dim() else {}  # noqa: E731
    fewer = "only the number of rows could be left open"
    attempts: list[tuple[Example, Any, str, bool]] = []
    for free, note in ((every, ""), (rows, fewer)):
        doubled = _doubled(example)
        if doubled is not None:
            attempts.append((doubled, _shapes(doubled, free), note, False))
        elif _has_one_row(example):
            attempts.append((example, _shapes(example, free), note, True))
        attempts.append((example, _shapes(example, free), note, False))
    return [*attempts, (example, None, "no size could be left open; all are those of the example", False)]


def _exported(module: torch.nn.Module, example: Example, shapes: Any) -> ExportedProgram:
    """What one way of tracing refuses, the other may take; what the first way says of a refusal is nearer to the source."""
    problem: Exception | None = None
    ways = (exported,) if isinstance(module, torch.jit.ScriptModule) else (partial(export, strict=False), partial(export, strict=True))
    with torch.no_grad():
        for way in ways:
            # Structures are made anew each time: a module may write into them (caches grow).
            arguments, keywords = _apart((example.arguments, example.keywords))
            try:
                return way(module, arguments, keywords, dynamic_shapes=shapes)
            except Exception as failure:
                logger.debug("tracing failed", exc_info=True)
                problem = problem or failure
    assert problem is not None
    raise problem


def _apart(structure: Any) -> Any:
    """The structure with a copy of each tensor that stood in it before: PyTorch takes one tensor given twice for one input."""
    seen: set[int] = set()

    def copied(item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        if id(item) in seen:
            return item.clone()
        seen.add(id(item))
        return item

    return pytree.tree_map(copied, structure)


@contextmanager
def _inference(module: torch.nn.Module) -> Iterator[None]:
    """In inference mode, without the hand-written fast paths, which hide the operators."""
    modes = {part: part.training for part in module.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    with suppress(NotImplementedError):  # an exported graph is in the mode that it was captured in
        module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, mode in modes.items():
            part.training = mode


def _switches(module: torch.nn.Module) -> bool:
    """Whether a module is in training mode and can leave it."""
    with _inference(module):
        inside = module.training
    return module.training and not inside


def _shapes(example: Example, free: Any) -> Any:
    """PyTorch's dynamic_shapes, for keywords and arguments."""
    arguments, keywords = _described(example.arguments, free), _described(example.keywords, free)
    if not keywords:
        return arguments if example.named is None else (*arguments[: example.named], arguments[example.named :])
    if not arguments:
        gathered = {name: keywords.pop(name) for name in example.gathered}
        return {**keywords, example.gathering: gathered} if gathered else keywords
    raise ConversionError("pass example inputs either as a tuple of arguments or as a dictionary of keywords")


def _described(item: Any, free: Any) -> Any:
    """Open axes of all tensors of a nested structure; one of a class of its own is the list of its parts."""
    if isinstance(item, torch.Tensor):
        return free(item)
    if isinstance(item, dict):
        return {key: _described(part, free) for key, part in item.items()}
    if type(item) in (list, tuple):
        return type(item)(_described(part, free) for part in item)
    if type(item) in pytree.SUPPORTED_NODES:
        return [_described(part, free) for part in pytree.SUPPORTED_NODES[type(item)].flatten_fn(item)[0]]
    return None


def _wanted(example: Example, dynamic_shapes: Any) -> Any:
    """The user's words: nothing is open for {}; names become open dimensions."""
    if not dynamic_shapes:
        return None

    def plain(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: plain(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return type(item)(plain(part) for part in item)
        return Dim.DYNAMIC if isinstance(item, str) else item

    wanted = plain(dynamic_shapes)
    if isinstance(wanted, dict) and example.keywords:
        return {key: wanted.get(key) for key in example.keywords}
    return wanted


def _doubled(example: Example) -> Example | None:
    """The example with two rows, if every tensor has one."""
    leaves = [item for item in pytree.tree_leaves((example.arguments, example.keywords)) if isinstance(item, torch.Tensor)]
    if not leaves or not all(item.dim() and item.shape[0] == 1 for item in leaves):
        return None
    twice = lambda item: torch.cat([item, item]) if isinstance(item, torch.Tensor) else item  # noqa: E731
    return example.replaced(pytree.tree_map(twice, example.arguments), pytree.tree_map(twice, example.keywords))


def _has_one_row(example: Example) -> bool:
    """Whether a tensor has one row."""
    leaves = pytree.tree_leaves((example.arguments, example.keywords))
    return any(isinstance(item, torch.Tensor) and item.dim() > 0 and item.shape[0] == 1 for item in leaves)

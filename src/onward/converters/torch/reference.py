"""The module itself as the judge of its conversion: data that it accepts, in several sizes, and what it computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from onward.converters.certificate import Reference
from onward.converters.torch.buffers import as_it_is
from onward.converters.torch.emitter import to_numpy
from onward.converters.torch.graph import draws
from onward.converters.torch.order import InOrder
from onward.converters.torch.quantized import InDouble, is_quantized
from onward.errors import ConversionMismatch

TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11, np.dtype(np.float16): 5e-3}
BFLOAT16 = 4e-2


def reference_of(module: Any, captured: Any, names: Any) -> Reference:
    """What the module computes on its example and on generated data."""
    source = Source(module, captured, names)
    exact = source.exactly if isinstance(module, torch.nn.Module) else None
    if source.may_not_end:
        captured.notes.append("a loop's condition decides when it ends: only the example was tried")
    data = source.data()
    drawn = draws(captured.program.graph_module)
    random = any(source.is_random(feeds, 8 if drawn else 2) for what, feeds in data.items() if drawn or what == "the example")
    if random:
        by = f" ({', '.join(drawn)})" if drawn else ""
        captured.notes.append(f"the source draws random numbers{by}: only shapes and types were compared")
    if captured.ordered:
        captured.notes.append(f"of equal elements the first comes first ({', '.join(captured.ordered)}), which PyTorch leaves open")
    written = list(captured.program.graph_signature.buffers_to_mutate.values())
    if written:
        captured.notes.append(f"the source writes into its buffers {', '.join(written)}: the model begins with what they are now in each run")
    return Reference(
        f"torch {torch.__version__}", data, source.outputs, exact, TOLERANCES, tuple(captured.notes), random,
        rounds=is_quantized(captured.program.graph_module),
    )  # fmt: skip


class Source:
    """A module with names for the tensors that go in and come out."""

    def __init__(self, module: Any, captured: Any, names: Any) -> None:
        self.module = module
        self.example = captured.example
        self.names = names
        self.leaves, self.structure = self._leaves(captured)
        self._double: Any = None
        self.unsteady = False
        self._known: list[tuple[Mapping[str, np.ndarray], dict[str, np.ndarray] | None]] = []
        """Data that the module was run on, and what it gave: it is asked more than once."""
        self.may_not_end = captured.may_not_end
        self.order: Callable[[], AbstractContextManager[Any]] = InOrder if captured.ordered else nullcontext

    def _leaves(self, captured: Any) -> tuple[list[Any], Any]:
        return pytree.tree_flatten((self.example.arguments, self.example.keywords))

    @property
    def tensors(self) -> list[int]:
        """Places among the leaves of what the model has as inputs, in the order of the model's inputs."""
        kinds = (torch.Tensor, int) if len(self.names.inputs) > self._count(torch.Tensor) else (torch.Tensor,)
        return [place for place, item in enumerate(self.leaves) if isinstance(item, kinds)]

    def _count(self, kind: Any) -> int:
        return sum(isinstance(item, kind) for item in self.leaves)

    def data(self) -> dict[str, dict[str, np.ndarray]]:
        """Feeds: the example, random numbers, zeros and ones, and other sizes where sizes are open."""
        given = {name: self.leaves[place] for name, place in zip(self.names.inputs.values(), self.tensors, strict=True)}
        made: dict[str, Callable[[torch.Tensor, np.random.Generator], torch.Tensor]] = {
            "the example": lambda item, _: item,
            "random numbers": _random,
            "zeros": lambda item, _: torch.zeros_like(item),
            "ones": lambda item, _: torch.ones_like(item),
        }
        random = np.random.default_rng(0)
        feeds = {what: {name: _array(maker(torch.as_tensor(item), random)) for name, item in given.items()} for what, maker in made.items()}
        if self.may_not_end:
            return {"the example": feeds["the example"]}
        for size in (1, 3):
            resized = self._resized(given, size, random)
            if resized is not None:
                feeds["larger open sizes" if size > 1 else "open sizes of 1"] = resized
        return feeds

    def _resized(self, given: Mapping[str, Any], size: int, random: np.random.Generator) -> dict[str, np.ndarray] | None:
        """The example with open extents of 1, or larger by `size`, or else twice as large, as the module's own conditions on
        its sizes allow: a mask may have to be as long as what is past and what is new together."""
        sizes = self._sizes(size)
        if sizes is None:
            return None
        feeds = {}
        extents = {self.names.inputs[name]: shape for name, shape in self.names.extents.items()}
        for name, item in given.items():
            tensor = torch.as_tensor(item)
            for axis, extent in enumerate(extents.get(name, ())):
                if isinstance(extent, torch.SymInt):
                    wanted = int(extent.node.expr.subs(sizes))
                    places = torch.arange(wanted) % max(tensor.shape[axis], 1)
                    tensor = tensor.index_select(axis, places)
            feeds[name] = _array(_random(tensor, random))
        return feeds

    def _sizes(self, size: int) -> dict[Any, Any] | None:
        """What the symbols of the sizes are to be, or None where no choice is allowed."""
        open_extents = [extent for shape in self.names.extents.values() for extent in shape if isinstance(extent, torch.SymInt)]
        symbols = _symbols_of(open_extents)
        if not symbols:
            return None
        environment = open_extents[0].node.shape_env
        usual = {symbol: int(environment.backed_var_to_val[symbol]) for symbol in symbols}
        if size == 1:
            rows = _symbols_of([shape[0] for shape in self.names.extents.values() if shape and isinstance(shape[0], torch.SymInt)])
            choices = [dict.fromkeys(symbols, 1), {**usual, **dict.fromkeys(rows, 1)}]
        else:
            choices = [{symbol: value + size for symbol, value in usual.items()}, {symbol: 2 * value for symbol, value in usual.items()}]
        # A guard may name any of the symbols that later turned out to be equal; the inputs have one of them.
        guards = [environment.replace(guard.expr) for guard in environment.guards]
        for choice in choices:
            if all(_holds(guard, choice) for guard in guards):
                return choice
        return None

    def is_random(self, feeds: Mapping[str, np.ndarray], seeds: int = 2) -> bool:
        """Whether runs with different seeds differ. If they also do with the same seed, the source is `unsteady`."""
        first = self._seeded(feeds, 0)
        for seed in range(1, seeds):
            second = self._seeded(feeds, seed)
            if _differ(first, second):
                self.unsteady = self.unsteady or _differ(second, self._seeded(feeds, seed))
                return not self.unsteady
        self._known.append((feeds, first))
        return False

    def _seeded(self, feeds: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray] | None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._run(self.module, feeds, lambda item: item, keep_seed=False)

    def outputs(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """What the module gives, or None where it refuses the data. Raises ConversionMismatch for one that is unsteady."""
        if self.unsteady:
            raise ConversionMismatch(
                f"{type(self.module).__name__} gives different results for the same data and the same seed of PyTorch: it draws from Python's or "
                "NumPy's random numbers, or keeps a state outside of its buffers. What it was when it was captured is fixed in the model"
            )
        for given, results in self._known:
            if given is feeds:
                return results
        results = self._run(self.module, feeds, lambda item: item)
        self._known.append((feeds, results))
        return results

    def exactly(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The same in double precision, or None where the module cannot do that."""
        if self._double is None:
            try:
                self._double = copy.deepcopy(self.module).double()
            except Exception:  # a module that cannot be copied has no exact form
                self._double = False
        if self._double is False:
            return None
        with InDouble():
            return self._run(self._double, feeds, _in_double)

    def _run(self, module: Any, feeds: Mapping[str, np.ndarray], prepare: Any, keep_seed: bool = True) -> dict[str, np.ndarray] | None:
        from onward.converters.torch.capture import _inference

        leaves = list(self.leaves)
        for name, place in zip(self.names.inputs.values(), self.tensors, strict=True):
            old = self.leaves[place]
            given = tensor_of(feeds[name], old)
            leaves[place] = prepare(given) if isinstance(given, torch.Tensor) else given
        leaves = [item.clone() if isinstance(item, torch.Tensor) else item for item in leaves]
        arguments, keywords = pytree.tree_unflatten(leaves, self.structure)
        state = torch.random.get_rng_state()
        try:
            with torch.no_grad(), as_it_is(module), _inference(module), self.order():
                results = pytree.tree_leaves(module(*arguments, **keywords), is_leaf=lambda item: item is None)
        except Exception:  # the source does not take this data
            return None
        finally:
            if keep_seed:
                torch.random.set_rng_state(state)
        chosen = [results[place] for place in self.names.returned]
        return {name: _array(torch.as_tensor(item)) for name, item in zip(self.names.labels, chosen, strict=True)}


def _in_double(item: torch.Tensor) -> torch.Tensor:
    return item.double() if item.is_floating_point() else item.to(torch.complex128) if item.is_complex() else item


def _differ(first: Mapping[str, np.ndarray] | None, second: Mapping[str, np.ndarray] | None) -> bool:
    """Whether two runs give different results, beyond the rounding of sums that threads or libraries order as they like."""
    return first is not None and second is not None and any(not _alike(first[name], second[name]) for name in first)


def _alike(first: np.ndarray, second: np.ndarray) -> bool:
    tolerance = TOLERANCES.get(first.dtype)
    if tolerance is None or first.shape != second.shape or np.array_equal(first, second, equal_nan=True):
        return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    return bool(np.allclose(first, second, tolerance, tolerance * float(np.abs(first[np.isfinite(first)]).max(initial=0)), equal_nan=True))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return to_numpy(tensor)


def tensor_of(array: np.ndarray, like: Any) -> Any:
    """An array as the tensor (or number) that an argument like this one is."""
    if not isinstance(like, torch.Tensor):
        return int(array)
    if like.is_complex():
        return torch.complex(*(torch.from_numpy(np.array(array[..., place])) for place in (0, 1)))
    if like.dtype is torch.bfloat16 or like.dtype.itemsize == 1 and like.is_floating_point():
        return torch.from_numpy(array.astype(np.float32)).to(like.dtype)
    return torch.from_numpy(np.array(array))


def _random(tensor: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Normal numbers with the example's spread; whole numbers from the example's range, so that indices stay valid."""
    if tensor.numel() == 0:
        return tensor
    if tensor.is_complex():
        return torch.complex(_random(tensor.real, random), _random(tensor.imag, random)).to(tensor.dtype)
    if tensor.dtype is torch.bool:
        return torch.as_tensor(random.random(tuple(tensor.shape)) < 0.7)
    if tensor.is_floating_point():
        scale = float(tensor.double().nan_to_num().abs().mean()) or 1.0
        return torch.as_tensor(random.standard_normal(tuple(tensor.shape)) * scale).to(tensor.dtype)
    low, high = int(tensor.min()), int(tensor.max())
    return torch.as_tensor(random.integers(low, high + 1, tuple(tensor.shape))).to(tensor.dtype)


def _symbols_of(extents: Iterable[torch.SymInt]) -> list[Any]:
    """The unknowns that extents are made of, in the order of the extents."""
    return list(dict.fromkeys(symbol for extent in extents for symbol in sorted(extent.node.expr.free_symbols, key=str)))


def _holds(guard: Any, sizes: Mapping[Any, int]) -> bool:
    """Whether sizes fulfil what PyTorch asks of them; a remainder by an extent that becomes 0 is not fulfilled."""
    try:
        return guard.subs(sizes) != False  # noqa: E712 (a sympy truth value)
    except ZeroDivisionError:
        return False

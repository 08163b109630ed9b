"""Operators that move elements without changing them: views, permutations, slices, joins, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Scalar, Tensor, is_static, may_be_one
from onward.converters.torch.operators.unary import result_dtype
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value

LARGEST = 2**63 - 1


@aten("view", "reshape", "_unsafe_view", "view_copy", "_reshape_copy", "_reshape_alias", "reshape_as", "view_as")
def view(c: Emitter, x: Tensor, sizes: Any, *strides: Any) -> Value:
    if isinstance(sizes, Tensor):
        return c.op("Reshape", x, c.shape(sizes), allowzero=1)
    return c.reshape(x, c.known_sizes(sizes, c.result.shape))


@aten("view.dtype", "view_copy.dtype")
def view_of_bits(c: Emitter, x: Tensor, dtype: Any) -> Value:
    if dtype == x.dtype:
        return x.value
    raise UnsupportedOperator(f"reading the bits of {x.dtype} as {dtype}")


@aten("expand", "expand_copy")
def expand(c: Emitter, x: Tensor, sizes: list[Any], implicit: bool = False) -> Value:
    wanted = [1 if is_static(item) and item == -1 else item for item in c.known_sizes(sizes, c.result.shape)]
    kept = [1 if is_static(item) and item == -1 else known for item, known in zip(sizes, wanted)]
    return c.op("Expand", x, kept)


@aten("expand_as")
def expand_as(c: Emitter, x: Tensor, other: Tensor) -> Value:
    return c.op("Expand", x, c.shape(other))


@aten("permute", "permute_copy")
def permute(c: Emitter, x: Tensor, dims: list[int]) -> Value:
    return c.transpose(x, [x.axis(dim) for dim in dims])


@aten("transpose.int", "transpose_copy.int", "swapaxes", "swapdims")
def transpose(c: Emitter, x: Tensor, first: int, second: int) -> Value:
    order = list(range(x.rank))
    if order:
        first, second = x.axis(first), x.axis(second)
        order[first], order[second] = order[second], order[first]
    return c.transpose(x, order)


@aten("t", "t_copy", "numpy_T", "matrix_H", "mT", "adjoint")
def matrix_transpose(c: Emitter, x: Tensor) -> Value:
    if x.rank < 2:
        return x.value
    order = list(range(x.rank))
    order[-2], order[-1] = order[-1], order[-2]
    return c.transpose(x, order)


@aten("squeeze", "squeeze_copy")
def squeeze(c: Emitter, x: Tensor, dims: Any = None) -> Value:
    chosen = range(x.rank) if dims is None else [x.axis(dim) for dim in (dims if isinstance(dims, list) else [dims])]
    if any(may_be_one(x.shape[axis]) for axis in chosen if x.rank):
        raise UnsupportedOperator(f"dimensions of {list(map(str, x.shape))} are to go where they have one element, and an open one may")
    return c.squeeze(x, *[axis for axis in chosen if x.rank and is_static(x.shape[axis]) and x.shape[axis] == 1])


@aten("unsqueeze", "unsqueeze_copy")
def unsqueeze(c: Emitter, x: Tensor, dim: int) -> Value:
    return c.unsqueeze(x, dim % (x.rank + 1))


@aten("flatten.using_ints")
def flatten(c: Emitter, x: Tensor, start: int = 0, end: int = -1) -> Value:
    if x.rank == 0:
        return c.reshape(x, [1])
    start, end = x.axis(start), x.axis(end)
    if start == end:
        return x.value
    sizes: list[Any] = [c.size(x, axis) for axis in range(x.rank)]
    return c.reshape(x, [*sizes[:start], -1, *sizes[end + 1 :]])


@aten("unflatten.int")
def unflatten(c: Emitter, x: Tensor, dim: int, sizes: list[Any]) -> Value:
    axis = x.axis(dim)
    extents: list[Any] = [c.size(x, other) for other in range(x.rank)]
    return c.reshape(x, c.known_sizes([*extents[:axis], *sizes, *extents[axis + 1 :]], c.result.shape))


@aten("slice.Tensor", "slice_copy.Tensor")
def slice_(c: Emitter, x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    start = 0 if start is None else start
    end = LARGEST if end is None else end
    if is_static(start) and start == 0 and is_static(end) and end >= LARGEST and step == 1:
        return x.value
    return c.slice(x, x.axis(dim), start, end, step)


@aten("narrow", "narrow_copy")
def narrow(c: Emitter, x: Tensor, dim: int, start: Any, length: Any) -> Value:
    if is_static(start) and is_static(length):
        return c.slice(x, x.axis(dim), start, start + length)
    end = c.op("Add", c.sizes([start]), c.sizes([length]))
    return c.op("Slice", x, [start], end, [x.axis(dim)])


@aten("select.int", "select_copy.int")
def select(c: Emitter, x: Tensor, dim: int, index: Any) -> Value:
    place = c.value(index) if isinstance(index, Scalar) else np.array(index)
    return c.op("Gather", x, place, axis=x.axis(dim))


@aten("slice_scatter")
def slice_scatter(c: Emitter, x: Tensor, source: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    """The source written along a range of positions of one dimension."""
    axis = x.axis(dim)
    places = c.op("Range", np.array(0), c.value(_extent(c, x, axis)), np.array(1))
    chosen = c.slice(places, 0, 0 if start is None else start, LARGEST if end is None else end, step)
    order = [axis, *[other for other in range(x.rank) if other != axis]]
    back = [order.index(axis) for axis in range(x.rank)]
    written = c.op("ScatterND", c.transpose(x, order), c.unsqueeze(chosen, 1), c.transpose(_fitting(c, source, x), order))
    return c.transpose(written, back)


def _fitting(c: Emitter, source: Tensor, x: Tensor) -> Value:
    return c.cast(source, x.dtype)


def _extent(c: Emitter, x: Tensor, axis: int) -> Any:
    size = c.size(x, axis)
    return size if isinstance(size, Scalar) else np.array(size)


@aten("select_scatter")
def select_scatter(c: Emitter, x: Tensor, source: Tensor, dim: int, index: Any) -> Value:
    axis = x.axis(dim)
    order = [axis, *[other for other in range(x.rank) if other != axis]]
    back = [order.index(axis) for axis in range(x.rank)]
    written = c.op("ScatterND", c.transpose(x, order), c.reshape(c.sizes([index]), [1, 1]), c.unsqueeze(c.cast(source, x.dtype), 0))
    return c.transpose(written, back)


@aten("cat", "concat", "concatenate")
def cat(c: Emitter, tensors: list[Tensor], dim: int = 0) -> Value:
    """Vectors without elements are left out, as PyTorch does for tensors of any rank."""
    rank = max(item.rank for item in tensors)
    kept = [item for item in tensors if item.rank == rank and not (item.rank == 1 and rank > 1)]
    values = [c.cast(item, result_dtype(c)) for item in kept]
    return values[0] if len(values) == 1 else c.op("Concat", *values, axis=dim % rank)


@aten("stack")
def stack(c: Emitter, tensors: list[Tensor], dim: int = 0) -> Value:
    axis = dim % (tensors[0].rank + 1)
    return c.op("Concat", *(c.unsqueeze(c.cast(item, result_dtype(c)), axis) for item in tensors), axis=axis)


@aten("split_with_sizes", "split_with_sizes_copy", "split.sizes")
def split_with_sizes(c: Emitter, x: Tensor, sizes: list[Any], dim: int = 0) -> Any:
    if len(sizes) == 1:
        return [x.value]
    return c.op("Split", x, list(sizes), axis=x.axis(dim), outputs=len(sizes))


@aten("split.Tensor", "split_copy.Tensor", "unsafe_split.Tensor")
def split(c: Emitter, x: Tensor, size: Any, dim: int = 0) -> Any:
    """In as many parts as PyTorch counted, each as long as it said."""
    axis = x.axis(dim)
    lengths = [part.shape[axis] for part in c.result]
    if len(lengths) == 1:
        return [x.value]
    if all(is_static(length) for length in lengths):
        return c.op("Split", x, lengths, axis=axis, outputs=len(lengths))
    starts = range(len(lengths))
    if not is_static(size):
        raise UnsupportedOperator("parts whose number or length depends on sizes that are not known")
    return [c.slice(x, axis, size * place, size * (place + 1)) for place in starts]


@aten("chunk", "unsafe_chunk")
def chunk(c: Emitter, x: Tensor, chunks: int, dim: int = 0) -> Any:
    """Parts of one length, rounded up; the last may be shorter."""
    if all(is_static(part.shape[x.axis(dim)]) for part in c.result):
        return split(c, x, None, dim)
    length = c.op("Div", c.op("Add", c.size(x, dim), c.number(chunks - 1, torch.int64)), c.number(chunks, torch.int64))
    bounds = [Scalar(c.op("Mul", length, c.number(place, torch.int64)), torch.int64) for place in range(len(c.result) + 1)]
    return [c.slice(x, x.axis(dim), start, end) for start, end in zip(bounds, bounds[1:])]


@aten("tensor_split.sections")
def tensor_split(c: Emitter, x: Tensor, sections: int, dim: int = 0) -> Any:
    """Parts of which the first are longer by one where the length is no multiple of their number."""
    if all(is_static(part.shape[x.axis(dim)]) for part in c.result):
        return split(c, x, None, dim)
    number = c.number(sections, torch.int64)
    length, rest = (c.op(operator, c.size(x, dim), number) for operator in ("Div", "Mod"))
    places = [c.number(place, torch.int64) for place in range(sections + 1)]
    bounds = [Scalar(c.op("Add", c.op("Mul", length, place), c.op("Min", rest, place)), torch.int64) for place in places]
    return [c.slice(x, x.axis(dim), start, end) for start, end in zip(bounds, bounds[1:])]


@aten("unbind.int", "unbind_copy.int")
def unbind(c: Emitter, x: Tensor, dim: int = 0) -> Any:
    axis = x.axis(dim)
    return [c.op("Gather", x, np.array(place), axis=axis) for place in range(len(c.result))]


@aten("repeat")
def repeat(c: Emitter, x: Tensor, repeats: list[Any]) -> Value:
    added = len(repeats) - x.rank
    value = c.unsqueeze(x, *range(added)) if added else x.value
    return c.op("Tile", value, list(repeats)) if repeats else value


@aten("tile")
def tile(c: Emitter, x: Tensor, repeats: list[Any]) -> Value:
    return repeat(c, x, [1] * (x.rank - len(repeats)) + list(repeats))


@aten("flip")
def flip(c: Emitter, x: Tensor, dims: list[int]) -> Value:
    axes = [x.axis(dim) for dim in dims]
    if not axes or not x.rank:
        return x.value
    return c.op("Slice", x, [-1] * len(axes), [-(2**63)] * len(axes), axes, [-1] * len(axes))


@aten("roll")
def roll(c: Emitter, x: Tensor, shifts: list[Any], dims: list[int] | None = None) -> Value:
    if x.rank == 0 or any(is_static(extent) and extent == 0 for extent in x.shape):
        return x.value
    if not dims:
        flat = Tensor(c.reshape(x, [-1]), x.dtype, (-1,))
        return c.op("Reshape", _rolled(c, flat.value, shifts[0], 0), c.shape(x), allowzero=1)
    value = x.value
    for shift, dim in zip(shifts, dims):
        extent = x.shape[x.axis(dim)]
        value = _rolled(c, value, shift % extent if is_static(extent) else shift, x.axis(dim))
    return value


def _rolled(c: Emitter, value: Value, shift: int, axis: int) -> Value:
    if shift == 0:
        return value
    return c.op("Concat", c.slice(value, axis, -shift, LARGEST), c.slice(value, axis, 0, -shift), axis=axis)


@aten("constant_pad_nd")
def constant_pad(c: Emitter, x: Tensor, padding: list[Any], value: Any = 0) -> Value:
    return _padded(c, x, padding, "constant", c.number(value, x.dtype))


@aten("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(c: Emitter, x: Tensor, padding: list[Any]) -> Value:
    return _padded(c, x, padding, "reflect")


@aten("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(c: Emitter, x: Tensor, padding: list[Any]) -> Value:
    return _padded(c, x, padding, "edge")


@aten("_pad_circular")
def circular_pad(c: Emitter, x: Tensor, padding: list[Any]) -> Value:
    return _padded(c, x, padding, "wrap")


@aten("pad", "_pad_enum")
def pad(c: Emitter, x: Tensor, padding: list[Any], mode: Any = "constant", value: Any = None) -> Value:
    names = ["constant", "reflect", "replicate", "circular"]
    chosen = {"replicate": "edge", "circular": "wrap"}.get(names[mode] if isinstance(mode, int) else mode, mode)
    return _padded(c, x, padding, chosen, c.number(value or 0, x.dtype) if chosen == "constant" else None)


def _padded(c: Emitter, x: Tensor, padding: list[Any], mode: str, value: Value | None = None) -> Value:
    """PyTorch lists pairs from the last dimension backwards; ONNX all beginnings, then all ends."""
    if not padding:
        return x.value
    pairs = [(padding[place], padding[place + 1]) for place in range(0, len(padding), 2)][::-1]
    axes = list(range(x.rank - len(pairs), x.rank))
    if not any(is_static(amount) and amount < 0 for pair in pairs for amount in pair):
        return c.op("Pad", x, _ends(pairs), value, axes, mode=mode)
    # What is negative takes away, from what is there for copies all around, else from the padded tensor.
    added, taken = ([(max(sign * before, 0), max(sign * after, 0)) for before, after in pairs] for sign in (1, -1))
    starts, stops = [before for before, _ in taken], [-after if after else np.iinfo(np.int64).max for _, after in taken]
    if mode == "wrap":
        return c.op("Pad", c.op("Slice", x, starts, stops, axes), _ends(added), None, axes, mode=mode)
    return c.op("Slice", c.op("Pad", x, _ends(added), value, axes, mode=mode), starts, stops, axes)


def _ends(pairs: list[tuple[Any, Any]]) -> list[Any]:
    return [before for before, _ in pairs] + [after for _, after in pairs]


@aten("tril")
def tril(c: Emitter, x: Tensor, diagonal: int = 0) -> Value:
    return c.op("Trilu", x, np.array(diagonal), upper=0)


@aten("triu")
def triu(c: Emitter, x: Tensor, diagonal: int = 0) -> Value:
    return c.op("Trilu", x, np.array(diagonal), upper=1)


@aten("diagonal", "diagonal_copy")
def diagonal(c: Emitter, x: Tensor, offset: int = 0, first: int = 0, second: int = 1) -> Value:
    """Elements (i, i + offset) of two dimensions, which go last."""
    first, second = x.axis(first), x.axis(second)
    rest = [axis for axis in range(x.rank) if axis not in (first, second)]
    front = c.transpose(x, [first, second, *rest])
    length = c.result.shape[-1]
    if is_static(length):
        steps = c.array(np.arange(length))
    else:
        rows, columns = c.sizes([c.size(x, first)]), c.sizes([c.size(x, second)])
        space = c.op("Min", c.op("Add", rows, np.array([min(offset, 0)])), c.op("Sub", columns, np.array([max(offset, 0)])))
        steps = c.op("Range", np.array(0), c.squeeze(space, 0), np.array(1))
    rows = c.op("Add", steps, np.array(max(-offset, 0)))
    columns = c.op("Add", steps, np.array(max(offset, 0)))
    places = c.op("Concat", c.unsqueeze(rows, 1), c.unsqueeze(columns, 1), axis=1)
    found = c.op("GatherND", front, places)
    return c.transpose(found, [*range(1, x.rank - 1), 0])


@aten("as_strided", "as_strided_copy")
def as_strided(c: Emitter, x: Tensor, sizes: list[int], strides: list[int], offset: int | None = 0) -> Value:
    """Reads the elements in storage order, which is that of a tensor laid out densely."""
    if not all(is_static(item) for item in [*sizes, *strides]):
        raise UnsupportedOperator("as_strided with sizes that are not known")
    places = np.full((), offset or 0, np.int64)
    for size, stride in zip(sizes, strides):
        places = places[..., None] + np.arange(size) * stride
    return c.op("Gather", c.reshape(x, [-1]), places)


@aten("unfold", "unfold_copy")
def unfold(c: Emitter, x: Tensor, dim: int, size: int, step: int) -> Value:
    """Windows along a dimension, with a last dimension for the place in the window."""
    axis = x.axis(dim)
    if x.rank == 0:
        return c.reshape(x, [1])
    count = c.result.shape[axis]
    if is_static(count):
        places = c.array(np.arange(count)[:, None] * step + np.arange(size))
    else:
        last = c.op("Sub", c.value(_extent(c, x, axis)), np.array(size - 1))
        places = c.op("Add", c.unsqueeze(c.op("Range", np.array(0), last, np.array(step)), 1), np.arange(size))
    found = c.op("Gather", x, places, axis=axis)
    order = [other for other in range(x.rank + 1) if other != axis + 1]
    return c.transpose(found, [*order, axis + 1])


@aten("sym_size.int")
def sym_size(c: Emitter, x: Tensor, dim: int) -> Any:
    size = c.size(x, dim)
    return size if isinstance(size, Scalar) else Scalar(c.array(np.array(size)), _integer())


@aten("sym_numel")
def sym_numel(c: Emitter, x: Tensor) -> Scalar:
    return Scalar(c.op("Size", x), _integer())


def _integer() -> Any:
    import torch

    return torch.int64


@aten("pixel_shuffle")
def pixel_shuffle(c: Emitter, x: Tensor, factor: int) -> Value:
    if x.rank == 4:
        return c.op("DepthToSpace", x, blocksize=factor, mode="CRD")
    flat = c.reshape(x, [-1, *[c.size(x, axis) for axis in range(x.rank - 3, x.rank)]])
    shuffled = c.op("DepthToSpace", flat, blocksize=factor, mode="CRD")
    inner = c.op("Shape", shuffled, start=1)
    outer = c.sizes([c.size(x, axis) for axis in range(x.rank - 3)])
    return c.op("Reshape", shuffled, c.op("Concat", outer, inner, axis=0), allowzero=1)


@aten("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(c: Emitter, x: Tensor, groups: int) -> Value:
    sizes: list[Any] = [c.size(x, axis) for axis in range(x.rank)]
    parted = c.reshape(x, [sizes[0], groups, -1, *sizes[2:]])
    return c.reshape(c.transpose(parted, [0, 2, 1, *range(3, x.rank + 1)]), sizes)


@aten("meshgrid", "meshgrid.indexing")
def meshgrid(c: Emitter, tensors: list[Tensor], indexing: str = "ij") -> Any:
    order = list(range(len(tensors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    sizes = [c.size(tensors[place], 0) if tensors[place].rank else 1 for place in order]
    made = []
    for place, item in enumerate(tensors):
        shape = [-1 if order[axis] == place else 1 for axis in range(len(tensors))]
        made.append(c.op("Expand", c.reshape(item, shape), list(sizes)))
    return made


@aten("copy")
def copy(c: Emitter, x: Tensor, source: Tensor, *options: Any) -> Value:
    """The source in the type and shape of the tensor it is written to."""
    value = c.cast(source, x.dtype)
    same = source.rank == x.rank and all(is_static(a) and a == b for a, b in zip(source.shape, x.shape))
    return value if same else c.op("Expand", value, c.shape(x))

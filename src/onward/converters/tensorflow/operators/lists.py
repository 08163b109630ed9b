"""Lists of tensors: one tensor with a first axis for the elements. A list that is only reserved becomes one when it is known what
goes into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Tensor
from onward.converters.tensorflow.operators.ragged import Ragged
from onward.converters.tensorflow.registry import structure
from onward.errors import UnsupportedOperator


@dataclass(eq=False)
class TensorList:
    """`tensor` has the elements; a list reserved has none yet, but a length and what is known of its elements."""

    tensor: Tensor | None
    length: Any = None
    dtype: Any = None
    shape: Any = None

    def like(self, w: Any, sizes: Any, shape: Any) -> TensorList:
        """A reserved list with elements of `sizes`, a vector of the run, zeros until they are set."""
        zero = np.array("", object) if self.dtype == tf.string else w.c.number(0, self.dtype)
        known = [None if self.length.known is None else int(self.length.known)]
        value = w.c.op("Expand", zero, w.c.op("Concat", w.c.sizes([self.length]), sizes, axis=0))
        return TensorList(w.tensor(value, self.dtype, tf.TensorShape(known).concatenate(shape)))

    def holding(self, w: Any, item: Tensor) -> TensorList:
        """This list, with elements as large as an item."""
        return self if self.tensor is not None else self.like(w, w.c.shape(item), item.shadow.shape)


def dense(w: Any, item: Any) -> Tensor:
    """A state of a loop as a tensor. Raises UnsupportedOperator for a list whose elements' shape nobody knows."""
    if isinstance(item, Tensor):
        return item
    if not isinstance(item, TensorList):
        raise UnsupportedOperator(f"{type(item).__name__.lower()} as the result of a branch or loop")
    if item.tensor is None:
        if item.shape.rank is None or not item.shape.is_fully_defined():
            raise UnsupportedOperator("a list that is read before it is full has elements of an unknown shape: give element_shape")
        item.tensor = item.like(w, w.c.sizes(item.shape.as_list()), item.shape).tensor
        assert item.tensor is not None
    return item.tensor


def _element_shape(shape: Tensor) -> Any:
    if shape.known is None or shape.known.ndim == 0:
        return tf.TensorShape(None)
    return tf.TensorShape([None if extent < 0 else int(extent) for extent in shape.known])


@structure("TensorListReserve")
def reserve(w: Any, op: Any, shape: Tensor, length: Tensor) -> list[Any]:
    return [TensorList(None, length, op["element_dtype"], _element_shape(shape))]


@structure("EmptyTensorList")
def empty(w: Any, op: Any, shape: Tensor, maximum: Tensor) -> list[Any]:
    return [TensorList(None, w.constant(np.array(0, np.int32), tf.int32), op["element_dtype"], _element_shape(shape))]


@structure("TensorListFromTensor")
def from_tensor(w: Any, op: Any, x: Any, shape: Tensor) -> list[Any]:
    """A ragged tensor is the list of its rows itself."""
    return [x if isinstance(x, Ragged) else TensorList(x)]


@structure("TensorListStack")
def stack(w: Any, op: Any, items: TensorList, shape: Tensor) -> list[Any]:
    return [dense(w, items)]


@structure("TensorListLength")
def length(w: Any, op: Any, items: TensorList) -> list[Any]:
    if items.tensor is None:
        return [items.length]
    taken = w.c.op("Squeeze", w.c.op("Shape", items.tensor, start=0, end=1), np.array([0]))
    return [w.tensor(w.c.op("Cast", taken, to=6), tf.int32, tf.TensorShape([]))]


@structure("TensorListGetItem")
def get_item(w: Any, op: Any, items: TensorList | Ragged, index: Tensor, shape: Tensor) -> list[Any]:
    if isinstance(items, Ragged):
        return [items.row(w, index)]
    whole = dense(w, items)
    return [w.tensor(w.c.op("Gather", whole, index, axis=0), whole.dtype, whole.shadow.shape[1:])]


@structure("TensorListGather")
def gather(w: Any, op: Any, items: TensorList, indices: Tensor, shape: Tensor) -> list[Any]:
    whole = dense(w, items)
    return [w.tensor(w.c.op("Gather", whole, indices, axis=0), whole.dtype, indices.shadow.shape.concatenate(whole.shadow.shape[1:]))]


@structure("TensorListSetItem")
def set_item(w: Any, op: Any, items: TensorList, index: Tensor, item: Tensor) -> list[Any]:
    whole = dense(w, items.holding(w, item))
    place = w.c.op("Reshape", w.c.cast(index, tf.int64), np.array([1, 1]))
    made = w.c.op("ScatterND", whole, place, w.c.unsqueeze(item, 0))
    return [TensorList(w.tensor(made, whole.dtype, whole.shadow.shape))]


@structure("TensorListPushBack")
def push_back(w: Any, op: Any, items: TensorList, item: Tensor) -> list[Any]:
    whole = dense(w, items.holding(w, item))
    shape = tf.TensorShape([None]).concatenate(whole.shadow.shape[1:])
    return [TensorList(w.tensor(w.c.op("Concat", whole, w.c.unsqueeze(item, 0), axis=0), whole.dtype, shape))]


@structure("TensorListPopBack")
def pop_back(w: Any, op: Any, items: TensorList, shape: Tensor) -> list[Any]:
    whole = dense(w, items)
    rest = w.c.slice(whole, 0, 0, -1)
    last = w.c.op("Gather", whole, np.array(-1), axis=0)
    return [
        TensorList(w.tensor(rest, whole.dtype, tf.TensorShape([None]).concatenate(whole.shadow.shape[1:]))),
        w.tensor(last, whole.dtype, whole.shadow.shape[1:]),
    ]


@structure("TensorListResize")
def resize(w: Any, op: Any, items: TensorList, length: Tensor) -> list[Any]:
    """Shorter, or longer by zeros."""
    if items.tensor is None:
        return [TensorList(None, length, items.dtype, items.shape)]
    c, whole = w.c, items.tensor
    missing = c.op("Max", c.op("Sub", c.sizes([length]), c.op("Shape", whole, start=0, end=1)), np.array([0]))
    longer = c.op("Pad", whole, c.sizes([0, missing]), None if whole.dtype != tf.string else np.array("", object), [0])
    shape = tf.TensorShape([None]).concatenate(whole.shadow.shape[1:])
    return [TensorList(w.tensor(c.slice(longer, 0, 0, c.sizes([length])), whole.dtype, shape))]


@structure("TensorListConcatLists")
def concatenated(w: Any, op: Any, first: TensorList, second: TensorList) -> list[Any]:
    left, right = dense(w, first), dense(w, second)
    shape = tf.TensorShape([None]).concatenate(left.shadow.shape[1:])
    return [TensorList(w.tensor(w.c.op("Concat", left, right, axis=0), left.dtype, shape))]


@structure("TensorListConcat", "TensorListConcatV2")
def flattened(w: Any, op: Any, items: TensorList, *settings: Tensor) -> list[Any]:
    """The elements, which have one size here, along their first axis, and that size of each."""
    c, whole = w.c, dense(w, items)
    size = c.op("Shape", whole, start=1, end=2)
    lengths = c.op("Expand", size, c.op("Shape", whole, start=0, end=1))
    made = c.reshape(whole, c.op("Concat", np.array([-1]), c.op("Shape", whole, start=2), axis=0)) if whole.rank > 2 else c.reshape(whole, [-1])
    return [
        w.tensor(made, whole.dtype, tf.TensorShape([None]).concatenate(whole.shadow.shape[2:])),
        w.tensor(lengths, tf.int64, tf.TensorShape([None])),
    ]


@structure("TensorListScatterV2", "TensorListScatter")
def scattered(w: Any, op: Any, x: Tensor, indices: Tensor, shape: Tensor, *count: Tensor) -> list[Any]:
    """Rows to their places; others are zeros."""
    c = w.c
    number = c.op("Add", c.op("ReduceMax", c.cast(indices, tf.int64), keepdims=1), np.array([1]))
    if count:
        number = c.op("Max", number, c.sizes([count[0]]))
    zero = np.array("", object) if x.dtype == tf.string else c.number(0, x)
    frame = c.op("Expand", zero, c.op("Concat", number, c.op("Shape", x, start=1), axis=0))
    made = c.op("ScatterND", frame, c.unsqueeze(c.cast(indices, tf.int64), -1), x)
    return [TensorList(w.tensor(made, x.dtype, tf.TensorShape([None]).concatenate(x.shadow.shape[1:])))]


# --- arrays of TensorFlow 1: the tensor that is passed from operator to operator stands for the elements ---


class Handle:
    """The handle of an array, which nothing is read from."""


@structure("TensorArrayV3")
def array(w: Any, op: Any, length: Tensor) -> list[Any]:
    shape = tf.TensorShape(op["element_shape"])
    return [Handle(), TensorList(None, length, op["dtype"], shape)]


@structure("TensorArrayWriteV3")
def array_write(w: Any, op: Any, handle: Any, index: Tensor, item: Tensor, items: TensorList) -> list[Any]:
    return set_item(w, op, items, index, item)


@structure("TensorArrayReadV3")
def array_read(w: Any, op: Any, handle: Any, index: Tensor, items: TensorList) -> list[Any]:
    return get_item(w, op, items, index, index)


@structure("TensorArrayGatherV3")
def array_gather(w: Any, op: Any, handle: Any, indices: Tensor, items: TensorList) -> list[Any]:
    return gather(w, op, items, indices, indices)


@structure("TensorArrayScatterV3")
def array_scatter(w: Any, op: Any, handle: Any, indices: Tensor, x: Tensor, items: TensorList) -> list[Any]:
    return scattered(w, op, x, indices, indices, *([items.length] if items.tensor is None else []))


@structure("TensorArraySizeV3")
def array_size(w: Any, op: Any, handle: Any, items: TensorList) -> list[Any]:
    return length(w, op, items)


@structure("TensorArrayConcatV3")
def array_concat(w: Any, op: Any, handle: Any, items: TensorList) -> list[Any]:
    return flattened(w, op, items)

"""Imports, functions and layers that a generated Keras module contains, word for word, where its program needs them."""
# mypy: disable-error-code="no-untyped-def,var-annotated,misc,attr-defined"

import functools  # noqa: F401
import operator
from pathlib import Path  # noqa: F401

import keras
import ml_dtypes  # noqa: F401
import numpy as np  # noqa: F401
from keras import layers, ops  # noqa: F401

from onward.converters.targets.numpy.prelude import codes_of, non_max_suppression, numbers_of  # noqa: F401


class Operation(layers.Layer):
    """A layer of a `function` of tensors, its weights the last of them. `results` are the shapes of what it gives, `weights` those of its
    weights by name; with a shape may stand a type other than float32 and whether it is trained."""

    def __init__(self, *results, weights=None, **options):
        super().__init__(autocast=False, **options)
        self.results, self.shapes = [described(item) for item in results], weights or {}
        kinds = {name: described(item) for name, item in self.shapes.items()}
        self.held = [
            self.add_weight(shape=shape, initializer="zeros", dtype=dtype, trainable=trainable, name=name) for name, (shape, dtype, trainable) in kinds.items()
        ]
        self.built = True

    def get_config(self):
        return {**super().get_config(), "results": self.results, "weights": self.shapes}

    @classmethod
    def from_config(cls, config):
        return cls(*config.pop("results"), **config)

    def call(self, *inputs):
        found = self.function(*inputs, *(ops.convert_to_tensor(item) for item in self.held))
        found = found if isinstance(found, (list, tuple)) else (found,)
        found = tuple(ops.cast(item, dtype) for item, (_, dtype, _) in zip(found, self.results))
        return found[0] if len(found) == 1 else found

    def compute_output_spec(self, *inputs):
        results = [keras.KerasTensor(shape, dtype) for shape, dtype, _ in self.results]
        return results[0] if len(results) == 1 else tuple(results)


def described(item):
    """(shape, type, whether it is trained) of what may be a shape alone, or a shape and a type."""
    item = item if item and isinstance(item[0], (list, tuple)) else [item]
    return [list(item[0]), *item[1:], *["float32", True][len(item) - 1 :]]


class Shared:
    """A layer whose weights others use, too: `layer(x, read=0)` is the first of them."""

    def call(self, inputs, *more, read=None):
        return super().call(inputs, *more) if read is None else ops.convert_to_tensor(self.weights[read])

    def compute_output_spec(self, inputs, *more, read=None):
        if read is None:
            return super().compute_output_spec(inputs, *more)
        return keras.KerasTensor(self.weights[read].shape, self.weights[read].dtype)


class Attention(layers.Layer):
    """Attention of heads that lie side by side, or on axis 1; `shared` is the number of keys' and values' heads. A `mask` of numbers is added to the scores; a query
    that sees no key gets zeros."""

    def __init__(self, heads, scale, causal=False, shared=None, **options):
        super().__init__(**options)
        self.heads, self.scale, self.causal, self.shared = heads, scale, causal, shared or heads

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "scale": self.scale, "causal": self.causal, "shared": self.shared}

    def call(self, query, key, value, mask=None):
        apart = len(query.shape) == 4
        if not apart:
            counts = (self.heads, self.shared, self.shared)
            query, key, value = (ops.reshape(item, (*ops.shape(item)[:2], n, item.shape[-1] // n)) for item, n in zip((query, key, value), counts))
        axis, (left, right) = (1, ("bhqd", "bhkd")) if apart else (2, ("bqhd", "bkhd"))
        if self.shared != self.heads:
            key, value = (ops.repeat(item, self.heads // self.shared, axis=axis) for item in (key, value))
        scores = ops.multiply(ops.einsum(f"{left},{right}->bhqk", query, key), self.scale)  # a product with "*" would leave bfloat16 on NumPy
        if self.causal:
            seen = ops.arange(ops.shape(query)[3 - axis])[:, None] >= ops.arange(ops.shape(key)[3 - axis])
            scores = ops.where(seen, scores, float("-inf"))
        if mask is not None:
            scores = ops.where(mask, scores, float("-inf")) if keras.backend.standardize_dtype(mask.dtype) == "bool" else scores + mask
        blind = ops.all(ops.equal(scores, float("-inf")), axis=-1, keepdims=True)
        weights = ops.where(blind, 0.0, ops.softmax(ops.where(blind, 0.0, scores)))
        result = ops.einsum(f"bhqk,{right}->{left}", weights, value)
        return result if apart else ops.reshape(result, (*ops.shape(result)[:2], self.heads * value.shape[-1]))

    def compute_output_spec(self, query, key, value, mask=None):
        width = value.shape[-1] if len(query.shape) == 4 else value.shape[-1] * self.heads // self.shared
        return keras.KerasTensor((*query.shape[:-1], width), query.dtype)


class MaskedAttention(layers.MultiHeadAttention):
    """A query that sees no key gets zeros; Keras's layer gives it the mean of all values."""

    def _compute_attention(self, query, key, value, attention_mask=None, *rest, **options):
        result, scores = super()._compute_attention(query, key, value, attention_mask, *rest, **options)
        sees = ops.transpose(ops.any(attention_mask, axis=-1, keepdims=True), (0, 2, 1, 3))
        return ops.where(sees, result, ops.zeros_like(result)), scores


class FakeQuantize(layers.Layer):
    """Rounds to multiples of a scale, from the lowest to the highest. Gradients are those of the limits alone."""

    def __init__(self, **options):
        super().__init__(**options)
        self.steps = self.add_weight(shape=(3,), initializer="ones", trainable=False, name="steps")
        self.built = True

    def call(self, x):
        scale, low, high = ops.unstack(ops.convert_to_tensor(self.steps))
        limited = ops.clip(x / scale, low, high)
        return ops.stop_gradient(ops.round(limited)) * scale + (limited - ops.stop_gradient(limited)) * scale

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def channels_last(build):
    """A function that builds layers whose channels are last, whatever Keras is set to."""

    @functools.wraps(build)
    def built():
        usual = keras.config.image_data_format()
        keras.config.set_image_data_format("channels_last")
        try:
            return build()
        finally:
            keras.config.set_image_data_format(usual)

    return built


def size(value, axis):
    """The extent along an axis: a number, or a tensor where a graph does not know it."""
    extent = ops.shape(value)[axis]
    return extent if isinstance(extent, int) else ops.cast(extent, "int64")


def sizes(vector):
    """The elements of a vector as sizes."""
    return [ops.cast(item, "int64") for item in ops.unstack(vector)] if keras.backend.backend() == "tensorflow" else ops.convert_to_numpy(vector).tolist()


def smaller(left, right):
    """The smaller of two sizes or indices."""
    return min(left, right) if isinstance(left, int) and isinstance(right, int) else ops.minimum(left, right)


def larger(left, right):
    """The larger of two sizes or indices."""
    return max(left, right) if isinstance(left, int) and isinstance(right, int) else ops.maximum(left, right)


def safe_divisor(right):
    """A divisor that is 1 instead of 0."""
    right = ops.convert_to_tensor(right)
    return ops.where(right == 0, ops.ones_like(right), right)


def integer_divide(left, right):
    """Division of whole numbers, towards zero; 0 where the divisor is 0."""
    left, safe = ops.convert_to_tensor(left), safe_divisor(right)
    safe = ops.cast(safe, left.dtype)
    quotient = ops.cast(ops.floor_divide(left, safe), left.dtype)
    rest = ops.cast(ops.logical_and(quotient < 0, quotient * safe != left), left.dtype)
    return ops.where(ops.equal(right, 0), ops.zeros_like(quotient), quotient + rest)


def integer_remainder(left, right):
    """The remainder with the sign of the divisor; 0 where that is 0."""
    rest = ops.mod(left, safe_divisor(right))
    return ops.where(ops.equal(right, 0), ops.zeros_like(rest), rest)


def truncated_remainder(left, right):
    """The remainder of whole numbers with the sign of the dividend; 0 where the divisor is 0."""
    return ops.where(ops.equal(right, 0), ops.zeros_like(left), left - integer_divide(left, right) * right)


def integer_power(base, exponent):
    """A power of whole numbers; 0 for negative exponents."""
    power = ops.power(base, ops.cast(ops.maximum(exponent, 0), base.dtype))
    return ops.where(exponent < 0, ops.zeros_like(power), power)


def shift_left(value, amount):
    """By the whole width or more: 0."""
    width = int("".join(filter(str.isdigit, keras.backend.standardize_dtype(value.dtype))))
    inside = ops.logical_and(amount >= 0, ops.cast(amount, "int64") < width)
    return ops.where(inside, ops.left_shift(value, ops.where(inside, amount, ops.zeros_like(amount))), ops.zeros_like(value))


def shift_right(value, amount):
    """By the whole width or more: 0, or -1 for negative numbers."""
    kind = keras.backend.standardize_dtype(value.dtype)
    last = int("".join(filter(str.isdigit, kind))) - 1
    inside = ops.logical_and(amount >= 0, ops.cast(amount, "int64") <= last)
    shifted = ops.right_shift(value, ops.where(inside, amount, ops.full_like(amount, last)))
    return shifted if kind.startswith("int") else ops.where(inside, shifted, ops.zeros_like(shifted))


def bit_cast(value, dtype):
    """The same bits as elements of another type of the same width."""
    if "bool" in (keras.backend.standardize_dtype(value.dtype), dtype):
        return ops.cast(value, dtype)
    return value.view(dtype) if keras.backend.backend() == "numpy" else ops.view(value, dtype)  # NumPy's narrows 64 bits first


def decoded(codes, kind):
    """The numbers of codes of a small type of floats."""
    return ops.take(ops.convert_to_tensor(numbers_of(kind)), ops.cast(codes, "int32"), axis=0)


def encoded(value, kind, saturate):
    """The codes of the nearest numbers of a small type of floats; what is too large becomes the largest, if `saturate`."""
    bits = ops.view(ops.convert_to_tensor(value), "int32")
    beginning = ops.bitwise_and(ops.right_shift(bits, 18), 0x3FFE)
    rest = ops.cast(ops.not_equal(ops.bitwise_and(bits, 0x7FFFF), 0), "int32")
    return ops.take(ops.convert_to_tensor(codes_of(kind, saturate)), beginning + rest, axis=0)


def lowest_bits(value, bits, signed, dtype):
    """Whole numbers of the lowest `bits` bits."""
    start = 1 << bits - 1 if signed else 0
    return ops.cast(value if bits == 64 else ops.mod(value + start, 1 << bits) - start, dtype)


def elements(value, *indices):
    """The elements at indices of all axes, which are broadcast against each other."""
    place = indices[0]
    for axis, index in enumerate(indices[1:], 1):
        place = place * size(value, axis) + index
    return ops.take(ops.reshape(value, (-1,)), place, axis=0)


def windows(value, lengths, axes):
    """All windows along axes: their places stay on these axes, what is in them comes last."""
    for axis, length in zip(axes, lengths):
        places = ops.arange(size(value, axis) - length + 1, dtype="int64")[:, None] + ops.arange(length, dtype="int64")
        value = ops.moveaxis(ops.take(value, places, axis=axis), axis + 1, -1)
    return value


def cumulative(value, operation, axis, exclusive, reverse):
    """Running sum or product along an axis, from the end if `reverse`, without the element itself if `exclusive`."""
    data = ops.flip(value, axis) if reverse else value
    result = ops.cast((ops.cumsum if operation == "sum" else ops.cumprod)(data, axis), value.dtype)
    if exclusive:
        before = [[1, 0] if place == axis else [0, 0] for place in range(len(value.shape))]
        result = ops.pad(result, before, constant_values=0 if operation == "sum" else 1)
        result = result[(slice(None),) * axis + (slice(0, size(value, axis)),)]
    return ops.flip(result, axis) if reverse else result


def top_k(value, count, largest):
    """The `count` first elements of the last axis in order, and their places; equal elements keep their order."""
    last = size(value, -1) - 1
    if largest:
        order = last - ops.flip(ops.argsort(ops.flip(value, -1), -1), -1)
    else:
        order = ops.argsort(value, -1)
    order = ops.cast(order[..., :count], "int64")
    return ops.take_along_axis(value, order, -1), order


def scatter(data, rows, updates, reduction):
    """`data` with each update in its row, or combined with it by a reduction."""
    return ops.scatter_update(ops.convert_to_tensor(data), rows[:, None], updates, reduction=None if reduction == "none" else reduction)


def non_zero(value):
    """The places of elements that are not 0, one column each."""
    return ops.stack([ops.cast(places, "int64") for places in ops.nonzero(value)])


def tree_ensemble(x, feature, low, high, yes, no, missing, roots, values, targets, depth, start, combination):
    """Sums (or combines by "min", "max") the leaves that each row comes to: at a node it goes to `yes` where the feature lies in [low, high]."""
    place = ops.broadcast_to(roots, (size(x, 0), roots.shape[0]))
    for _ in range(depth):
        element = ops.take_along_axis(x, ops.cast(ops.take(feature, place), "int64"), 1)
        inside = ops.logical_and(element >= ops.take(low, place), element <= ops.take(high, place))
        holds = ops.logical_or(inside, ops.logical_and(ops.isnan(element), ops.take(missing, place)))
        place = ops.where(holds, ops.take(yes, place), ops.take(no, place))
    result = ops.broadcast_to(start, (size(x, 0), start.shape[0]))
    # Not ops.add, which on TensorFlow takes a column for a bias where there are as many rows as columns (Keras 3.15).
    function = {"sum": operator.add, "min": ops.minimum, "max": ops.maximum}[combination]
    for number in range(roots.shape[0]):
        leaves = ops.take(values, place[:, number], axis=0)
        if targets is None:
            result = function(result, leaves)
        else:
            result = ops.where(ops.arange(start.shape[0]) == ops.cast(targets[number], "int32"), function(result, leaves), result)
    return result


def recurrence(step, states, length, backwards, condition, collected):
    """Takes steps: states -> states and rows, which are collected (the shape and type of one row is given); a state may be the condition to go on."""
    states = tuple(ops.convert_to_tensor(state) for state in states)
    if isinstance(length, int) and condition is None:
        rows = [[] for _ in collected]
        for place in reversed(range(length)) if backwards else range(length):
            states, new = step(place, *states)
            for items, item in zip(rows, new):
                items.append(item)
        stacked = (ops.stack(items[::-1] if backwards else items) if length else ops.zeros((0, *kind[0]), kind[1]) for items, kind in zip(rows, collected))
        return *states, *stacked
    length = min(length, 2**31 - 1) if isinstance(length, int) else length
    tables = tuple(ops.zeros((length, *shape), dtype) for shape, dtype in collected)

    def goes_on(turn, states, tables):
        return ops.logical_and(turn < length, True if condition is None else ops.reshape(states[condition], ()))

    def take(turn, states, tables):
        place = length - 1 - turn if backwards else turn
        states, new = step(place, *states)
        start = ops.cast(place, "int32")
        tables = tuple(ops.slice_update(table, [start] + [0] * len(row.shape), row[None]) for table, row in zip(tables, new))
        return turn + 1, tuple(states), tables

    _, states, tables = ops.while_loop(goes_on, take, (ops.convert_to_tensor(0, "int64"), states, tables))
    return *states, *tables

"""Imports and functions that a generated TensorFlow module contains, word for word, where its program needs them."""
# mypy: disable-error-code="no-untyped-def,var-annotated"

import functools
from pathlib import Path  # noqa: F401

import ml_dtypes  # noqa: F401
import numpy as np  # noqa: F401
import tensorflow as tf

from onward.converters.targets.numpy.prelude import codes_of, numbers_of


def variables(weights, statistics):
    """The weights as variables, by name; whole numbers and statistics of batches are not trained."""
    return {
        name: tf.Variable(array, trainable=tf.as_dtype(array.dtype).is_floating and name not in statistics, name=name.replace(".", "/"))
        for name, array in weights.items()
    }


def unpacked(weights, types):
    """Weights whose type a file cannot hold have it again."""
    return {name: array.view(tf.as_dtype(types[name]).as_numpy_dtype) if name in types else array for name, array in weights.items()}


def size(value, axis):
    """The extent along an axis: a number where it is known, else a tensor."""
    known = value.shape[axis]
    return tf.shape(value, tf.int64)[axis] if known is None else known


def smaller(left, right):
    """The smaller of two sizes or indices."""
    if isinstance(left, int) and isinstance(right, int):
        return min(left, right)
    return tf.minimum(tf.cast(left, tf.int64), tf.cast(right, tf.int64))


def larger(left, right):
    """The larger of two sizes or indices."""
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    return tf.maximum(tf.cast(left, tf.int64), tf.cast(right, tf.int64))


def integer_divide(left, right):
    """Division of whole numbers, towards zero; 0 where the divisor is 0."""
    zero = tf.zeros_like(right)
    quotient = tf.truncatediv(left, tf.where(tf.equal(right, zero), tf.ones_like(right), right))
    return tf.where(tf.equal(right, zero), tf.zeros_like(quotient), quotient)


def integer_remainder(left, right):
    """The remainder with the sign of the divisor; 0 where that is 0."""
    zero = tf.zeros_like(right)
    rest = tf.math.floormod(left, tf.where(tf.equal(right, zero), tf.ones_like(right), right))
    return tf.where(tf.equal(right, zero), tf.zeros_like(rest), rest)


def truncated_remainder(left, right):
    """The remainder of whole numbers with the sign of the dividend; 0 where the divisor is 0."""
    zero = tf.zeros_like(right)
    rest = tf.truncatemod(left, tf.where(tf.equal(right, zero), tf.ones_like(right), right))
    return tf.where(tf.equal(right, zero), tf.zeros_like(rest), rest)


def integer_power(base, exponent):
    """A power of whole numbers; 0 for negative exponents."""
    zero = tf.zeros_like(exponent)
    power = tf.pow(base, tf.cast(tf.maximum(exponent, zero), base.dtype))
    return tf.where(exponent < zero, tf.zeros_like(power), power)


def shift_left(value, amount):
    """By the whole width or more: 0."""
    inside = (amount >= tf.zeros_like(amount)) & (tf.cast(amount, tf.int64) < value.dtype.size * 8)
    return tf.where(inside, tf.bitwise.left_shift(value, tf.where(inside, amount, tf.zeros_like(amount))), tf.zeros_like(value))


def shift_right(value, amount):
    """By the whole width or more: 0, or -1 for negative numbers."""
    last = value.dtype.size * 8 - 1
    inside = (amount >= tf.zeros_like(amount)) & (tf.cast(amount, tf.int64) <= last)
    shifted = tf.bitwise.right_shift(value, tf.where(inside, amount, tf.cast(last, amount.dtype)))
    return shifted if value.dtype.min < 0 else tf.where(inside, shifted, tf.zeros_like(shifted))


def float_remainder(left, right):
    """The remainder with the sign of the dividend."""
    wide = tf.float32 if left.dtype.size < 4 else left.dtype
    return tf.cast(tf.truncatemod(tf.cast(left, wide), tf.cast(right, wide)), left.dtype)


def truncate(value):
    """The whole number nearest to it towards zero."""
    return tf.where(value < 0, tf.math.ceil(value), tf.floor(value))


def bit_cast(value, dtype):
    """The same bits as elements of another type of the same width."""
    return tf.cast(value, dtype) if value.dtype == tf.bool or dtype == tf.bool else tf.bitcast(value, dtype)


def saturated(value, dtype):
    """Conversion to a small float; what is too large becomes the largest."""
    wide = tf.cast(value, tf.float32)
    limit = float(dtype.max)
    return tf.cast(tf.where(tf.math.is_nan(wide), wide, tf.clip_by_value(wide, -limit, limit)), dtype)


def decoded(codes, kind):
    """The numbers of codes of a small type of floats."""
    return tf.gather(numbers_of(kind), tf.cast(codes, tf.int32))


def encoded(value, kind, saturate):
    """The codes of the nearest numbers of a small type of floats; what is too large becomes the largest, if `saturate`."""
    bits = tf.bitcast(tf.convert_to_tensor(value), tf.int32)
    beginning = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 18), 0x3FFE)
    rest = tf.cast(tf.bitwise.bitwise_and(bits, 0x7FFFF) != 0, tf.int32)
    return tf.gather(codes_of(kind, saturate), beginning + rest)


def lowest_bits(value, bits, signed, dtype):
    """Whole numbers of the lowest `bits` bits."""
    start = 1 << bits - 1 if signed else 0
    return tf.cast(tf.math.floormod(value + start, 1 << bits) - start, dtype)


def split_text(text, separator, most):
    """The parts of each text along a new last axis, filled up with "", and their numbers; without a separator white space separates."""
    flat = tf.reshape(text, [-1])
    parts = tf.strings.split(flat, separator, most)
    if separator is None:
        parts = tf.ragged.boolean_mask(parts, parts != "")
    counts = tf.where(flat == "", tf.zeros_like(parts.row_lengths()), parts.row_lengths())
    longest = tf.reduce_max(tf.concat([counts, [0]], 0))
    shape = tf.shape(text, tf.int64)
    return tf.reshape(parts.to_tensor("")[:, :longest], tf.concat([shape, [longest]], 0)), tf.reshape(counts, shape)


def matching_text(text, expression, least, filler, mark, other):
    """What matches an expression in each text, along a new last axis, where it has so many characters; it matches neither the mark nor the other character."""
    flat = tf.strings.regex_replace(tf.reshape(text, [-1]), mark, other)
    parts = tf.strings.split(tf.strings.regex_replace(flat, expression, mark + "\\0" + mark), mark)[:, 1::2]
    return padded_text(tf.ragged.boolean_mask(parts, tf.strings.length(parts, "UTF8_CHAR") >= least), text, filler)


def characters_of_text(text, filler):
    """The characters of each text along a new last axis."""
    return padded_text(tf.strings.unicode_split(tf.reshape(text, [-1]), "UTF-8"), text, filler)


def padded_text(parts, text, filler):
    """Parts of texts, as many for each of them."""
    found = parts.to_tensor(filler)
    return tf.reshape(found, tf.concat([tf.shape(text, tf.int64), [tf.shape(found, tf.int64)[1]]], 0))


def normalized_text(text, left_out, case_sensitive, case):
    """The words but for those that are left out, in another case maybe; one "" if there is none."""
    words = tf.reshape(text, [-1])
    compared = words if case_sensitive else tf.strings.lower(words, "utf-8")
    words = words if case is None else case(words, "utf-8")
    if left_out:
        words = tf.boolean_mask(words, tf.reduce_all(compared[:, None] != tf.constant(left_out), 1))
    words = tf.concat([words, tf.fill([tf.cast(tf.equal(tf.size(words), 0), tf.int32)], "")], 0)
    return words[None] if text.shape.rank == 2 else words


def elements(value, *indices):
    """The elements at indices of all axes, which are broadcast against each other."""
    places = [tf.cast(index, tf.int64) for index in indices]
    while len(places) > 7:  # as many as gather_nd takes: two axes are one
        shape = tf.shape(value, tf.int64)
        value = tf.reshape(value, tf.concat([[shape[0] * shape[1]], shape[2:]], 0))
        places = [places[0] * shape[1] + places[1], *places[2:]]
    shape = functools.reduce(tf.broadcast_dynamic_shape, [tf.shape(place, tf.int64) for place in places])
    return tf.gather_nd(value, tf.stack([tf.broadcast_to(place, shape) for place in places], -1))


def windows(value, lengths, axes):
    """All windows along axes: their places stay on these axes, what is in them comes last."""
    for axis, length in zip(axes, lengths):
        places = tf.range(size(value, axis) - length + 1, dtype=tf.int64)[:, None] + tf.range(length, dtype=tf.int64)
        value = tf.gather(value, places, axis=axis)
        order = [place for place in range(value.shape.rank) if place != axis + 1]
        value = tf.transpose(value, [*order, axis + 1])
    return value


def top_k(value, count, largest):
    """The `count` first elements of the last axis in order, and their places; equal elements keep their order."""
    if largest:
        result, order = tf.math.top_k(value, tf.cast(count, tf.int32))
        return result, tf.cast(order, tf.int64)
    order = tf.argsort(value, stable=True)[..., :count]
    return tf.gather(value, order, batch_dims=value.shape.rank - 1), tf.cast(order, tf.int64)


def scatter(data, rows, updates, reduction):
    """`data` with each update in its row, or combined with it by a reduction."""
    if reduction == "mul":
        count = tf.shape(data, tf.int64)[0]
        with tf.control_dependencies([tf.debugging.assert_less(rows, count, "an index lies outside its axis")]):
            return data * tf.math.unsorted_segment_prod(updates, rows, count)
    functions = {
        "none": tf.tensor_scatter_nd_update, "add": tf.tensor_scatter_nd_add, "max": tf.tensor_scatter_nd_max, "min": tf.tensor_scatter_nd_min,
    }  # fmt: skip
    return functions[reduction](data, rows[:, None], updates)


def non_zero(value):
    """The places of elements that are not 0, one column each."""
    return tf.transpose(tf.where(tf.cast(value, tf.bool)))


def non_max_suppression(boxes, scores, most, overlap, least_score):
    """Rows (batch, class, box) of the boxes (least y, least x, greatest y, greatest x) that are kept, best first."""
    kinds = tf.shape(scores, tf.int64)[1]

    @tf.autograph.experimental.do_not_convert
    def best(place):
        batch, kind = place // kinds, place % kinds
        count = tf.cast(tf.minimum(most[0], tf.shape(scores, tf.int64)[2]), tf.int32)
        kept = tf.image.non_max_suppression(boxes[batch], scores[batch, kind], count, overlap[0], least_score[0])
        kept = tf.cast(kept, tf.int64)
        return tf.stack([tf.ones_like(kept) * batch, tf.ones_like(kept) * kind, kept], 1)

    places = tf.range(tf.shape(scores, tf.int64)[0] * kinds)
    return tf.map_fn(best, places, fn_output_signature=tf.RaggedTensorSpec([None, 3], tf.int64, 0)).values


def tree_ensemble(x, feature, low, high, yes, no, missing, roots, values, targets, depth, start, combination):
    """Sums (or combines by "min", "max") the leaves that each row comes to: at a node it goes to `yes` where the feature lies in [low, high]."""
    rows = tf.shape(x, tf.int64)[0]
    place = tf.broadcast_to(tf.cast(roots, tf.int64), (rows, roots.shape[0]))
    for _ in range(depth):
        element = tf.gather(x, tf.gather(feature, place), batch_dims=1)
        holds = (element >= tf.gather(low, place)) & (element <= tf.gather(high, place))
        holds |= tf.math.is_nan(element) & tf.cast(tf.gather(missing, place), tf.bool) if x.dtype.is_floating else False
        place = tf.cast(tf.where(holds, tf.gather(yes, place), tf.gather(no, place)), tf.int64)
    result = tf.repeat(start[None], rows, 0)
    function = {"sum": tf.add, "min": tf.minimum, "max": tf.maximum}[combination]
    for number in range(roots.shape[0]):
        leaves = tf.gather(values, place[:, number])
        if targets is None:
            result = function(result, leaves)
        else:
            chosen = tf.range(result.shape[1], dtype=tf.int64) == tf.cast(targets[number], tf.int64)
            result = tf.where(chosen, function(result, leaves), result)
    return result


def recurrence(step, states, length, backwards, condition, collected):
    """Takes steps: states -> states and rows, which are collected (the shape and type of one row is given); a state may be the condition to go on."""
    count = tf.cast(length, tf.int64)
    states = tuple(map(tf.convert_to_tensor, states))
    known = [[extent if isinstance(extent, int) else None for extent in shape] for shape, _ in collected]
    arrays = tuple(tf.TensorArray(dtype, size=tf.cast(count, tf.int32), element_shape=shape) for shape, (_, dtype) in zip(known, collected))

    def goes_on(turn, states, arrays):
        return (turn < count) & (True if condition is None else tf.reshape(states[condition], []))

    def take(turn, states, arrays):
        place = count - 1 - turn if backwards else turn
        following, rows = step(place, *states)
        arrays = tuple(array.write(tf.cast(place, tf.int32), row) for array, row in zip(arrays, rows))
        return turn + 1, tuple(tf.ensure_shape(new, old.shape) for new, old in zip(following, states)), arrays

    turn, states, arrays = tf.while_loop(goes_on, take, (tf.constant(0, tf.int64), states, arrays))
    if condition is None and not any(None in shape for shape in known):  # all that TensorFlow Lite can put together
        return *states, *(array.stack() for array in arrays)
    return *states, *(stacked(array, turn, count, backwards, *kind) for array, kind in zip(arrays, collected))


def stacked(rows, turns, length, backwards, shape, dtype):
    """Rows on a new first axis; a loop that ended early leaves zeros."""
    taken = rows.gather(tf.range(tf.cast(turns, tf.int32)) + (tf.cast(length - turns, tf.int32) if backwards else 0))
    rest = tf.zeros([length - turns, *shape], dtype)
    return tf.concat([rest, taken] if backwards else [taken, rest], 0)

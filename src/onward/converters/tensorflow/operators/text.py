"""Text."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.operators import replacement
from onward.converters.tensorflow.operators.characters import characters, joined, kept, widths
from onward.converters.tensorflow.operators.ragged import ends_of, rows_of
from onward.converters.tensorflow.operators.sparse import order_of, places_of
from onward.converters.tensorflow.registry import operator
from onward.converters.text_hashes import code_points
from onward.errors import UnsupportedOperator
from onward.ir import Value

ASCII = "the case of letters outside ASCII changes too, unlike in TensorFlow: only ASCII was compared"


@operator("StringLower", "StringUpper")
def case(c: Emitter, op: Any, x: Tensor) -> Value:
    """StringNormalizer takes vectors. Without an encoding TensorFlow changes only the letters of ASCII, ONNX all."""
    if op["encoding"] != "utf-8" and ASCII not in c.notes:
        c.notes.append(ASCII)
    flat = c.op("StringNormalizer", c.reshape(x, [-1]), case_change_action=op.type.removeprefix("String").upper())
    return c.reshape(flat, c.shape(x))


@operator("StringJoin")
def join(c: Emitter, op: Any, *items: Tensor) -> Value:
    made = items[0].value
    for item in items[1:]:
        if op["separator"]:
            made = c.op("StringConcat", made, np.array(op["separator"], object))
        made = c.op("StringConcat", made, item)
    return made


@operator("StaticRegexFullMatch", "RegexFullMatch")
def full_match(c: Emitter, op: Any, x: Tensor, pattern: Tensor | None = None) -> Value:
    text = op["pattern"] if pattern is None else str(c.known(pattern, "the pattern"))
    return c.op("RegexFullMatch", x, pattern=text)


@operator("AsString")
def as_string(c: Emitter, op: Any, x: Tensor) -> Value:
    if not (x.dtype.is_integer or x.dtype == tf.bool) or op["width"] > 0 or op["fill"]:
        raise UnsupportedOperator("of real numbers, or with a width: ONNX leaves their form open")
    if x.dtype == tf.bool:
        return c.op("Where", x, np.array("true", object), np.array("false", object))
    return c.op("Cast", x, to=8)


@operator("StringToNumber")
def to_number(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.cast(x, op.dtype)


@operator("ReduceJoin")
def reduce_join(c: Emitter, op: Any, x: Tensor, axes: Tensor) -> Value:
    """The texts along some axes, one after the other, the first of these axes being the innermost."""
    inner = [int(axis) % x.rank for axis in c.known(axes, "the axes").reshape(-1)[::-1]] if axes.shadow.shape.num_elements() else list(range(x.rank))
    outer = [axis for axis in range(x.rank) if axis not in inner]
    frame = [c.size(x, axis) if axis in outer else 1 for axis in range(x.rank) if axis in outer or op["keep_dims"]]
    rows = c.op("Concat", c.op("ReduceProd", c.sizes([1, *(c.size(x, axis) for axis in outer)]), keepdims=1), np.array([-1]), axis=0)
    pieces = c.reshape(c.transpose(x, [*outer, *inner]), rows)
    return c.reshape(joined(c, pieces, op["separator"]), c.sizes(frame))


def _sparse(c: Emitter, pieces: Any, test: Value) -> list[Value]:
    """Those pieces of each text for which the test holds, as a sparse (text, place) tensor."""
    places = c.op("Transpose", c.op("NonZero", test), perm=[1, 0])
    number = c.op("CumSum", c.op("Cast", test, to=7), np.array(1))
    along = c.op("GatherND", number, places)
    indices = c.op("Concat", c.op("Slice", places, [0], [1], [1]), c.unsqueeze(c.op("Sub", along, np.array(1)), 1), axis=1)
    most = c.op("ReduceMax", c.op("Concat", along, np.array([0]), axis=0), keepdims=1)
    return [indices, c.op("GatherND", pieces, places), c.op("Concat", c.op("Shape", pieces, end=1), most, axis=0)]


@operator("StringSplitV2")
def split(c: Emitter, op: Any, x: Tensor, separator: Tensor) -> list[Value]:
    """Between white space or a text."""
    between, most = str(c.known(separator, "what separates")), int(op["maxsplit"])
    pieces, counts = c.op("StringSplit", x, outputs=2, delimiter=between or None, maxsplit=most if most >= 0 else None)
    if between:  # an empty text is one piece
        pieces = c.op("Concat", pieces, c.op("Expand", np.array("", object), c.op("Concat", c.op("Shape", x), np.array([1]), axis=0)), axis=1)
        counts = c.op("Max", counts, np.array(1))
    places = c.op("Range", np.array(0), c.squeeze(c.op("Shape", pieces, start=1), 0), np.array(1))
    return _sparse(c, pieces, c.op("Less", places, c.unsqueeze(counts, 1)))


@operator("StringSplit")
def split_at_characters(c: Emitter, op: Any, x: Tensor, separator: Tensor) -> list[Value]:
    """Between any of the characters of a text; into characters where it is empty."""
    between = str(c.known(separator, "what separates"))
    if not between:
        pieces = characters(c, x)
    elif len(between) == 1:
        pieces, counts = c.op("StringSplit", x, outputs=2, delimiter=between)
        if not op["skip_empty"]:
            places = c.op("Range", np.array(0), c.squeeze(c.op("Shape", pieces, start=1), 0), np.array(1))
            return _sparse(c, pieces, c.op("Less", places, c.unsqueeze(counts, 1)))
    elif op["skip_empty"]:
        pieces = replacement.outside(c, x, replacement.any_of(between))
    else:
        raise UnsupportedOperator("empty pieces between any of several characters")
    return _sparse(c, pieces, c.op("Not", c.op("Equal", pieces, np.array("", object))))


@operator("RegexReplace", "StaticRegexReplace")
def replace(c: Emitter, op: Any, x: Tensor, pattern: Tensor | None = None, rewrite: Tensor | None = None) -> Value:
    search = op["pattern"] if pattern is None else str(c.known(pattern, "the pattern"))
    text = op["rewrite"] if rewrite is None else str(c.known(rewrite, "the rewriting"))
    made = replacement.replaced(c, c.reshape(x, [-1]), search, text, bool(op["replace_global"]))
    return c.reshape(made, c.shape(x))


@operator("StringLength")
def length(c: Emitter, op: Any, x: Tensor) -> Value:
    letters = characters(c, x)
    total = c.op("ReduceSum", widths(c, letters, op["unit"]), [-1], keepdims=0)
    return c.reshape(c.op("Cast", total, to=6), c.shape(x))


@operator("Substr")
def part(c: Emitter, op: Any, x: Tensor, start: Tensor, count: Tensor) -> Value:
    """From a place on, which may be counted from the end; a place beyond the end is an error in TensorFlow."""
    letters = characters(c, x)
    width = widths(c, letters, op["unit"])
    places = c.op("CumSum", width, np.array(1), exclusive=1)
    first, size = (c.reshape(c.cast(item, tf.int64), [-1, 1]) for item in (start, count))
    first = c.op("Where", c.op("Less", first, np.array(0)), c.op("Add", first, c.op("ReduceSum", width, [-1])), first)
    inside = c.op("And", c.op("GreaterOrEqual", places, first), c.op("Less", places, c.op("Add", first, size)))
    return kept(c, letters, inside, x)


@operator("StringStrip")
def strip(c: Emitter, op: Any, x: Tensor) -> Value:
    """Without the white space of ASCII at both ends."""
    letters = characters(c, x)
    solid = c.op("Cast", c.op("Not", c.op("RegexFullMatch", letters, pattern="[ \t\n\v\f\r]?")), to=7)
    within = [c.op("Greater", c.op("CumSum", solid, np.array(1), reverse=turned), np.array(0)) for turned in (0, 1)]
    return kept(c, letters, c.op("And", *within), x)


@operator("UnicodeTranscode")
def transcode(c: Emitter, op: Any, x: Tensor) -> Value:
    """Text of ONNX is UTF-8."""
    if op["output_encoding"] != "UTF-8" or op["input_encoding"].upper() not in ("UTF-8", "UTF8") or op["replace_control_characters"]:
        raise UnsupportedOperator("to or from other encodings than UTF-8")
    return x.value


@operator("UnicodeDecode", "UnicodeDecodeWithOffsets")
def decode(c: Emitter, op: Any, x: Tensor) -> list[Value]:
    """The ends of rows, their code points, and the bytes before each."""
    if op["input_encoding"].upper() not in ("UTF-8", "UTF8") or op["replace_control_characters"]:
        raise UnsupportedOperator("from other encodings than UTF-8, or without control characters")
    points, width = (item.value for item in code_points(c, c.reshape(x, [-1])))
    there = c.op("Greater", width, np.array(0))
    places = c.op("Transpose", c.op("NonZero", there), perm=[1, 0])
    ends = ends_of(c, c.op("ReduceSum", c.cast(there, tf.int64), [1], keepdims=0))
    kinds = [item.dtype for item in op.outputs]
    found = [ends, *(c.op("GatherND", item, places) for item in (points, c.op("CumSum", width, np.array(1), exclusive=1)))]
    return [c.cast(item, kind) for item, kind in zip(found, kinds)]


@operator("StringNGrams")
def n_grams(c: Emitter, op: Any, words: Tensor, splits: Tensor) -> list[Value]:
    """Neighbouring words of each row joined, those of the first width first."""
    if op["preserve_short_sequences"] or op["pad_width"] and (op["left_pad"] or op["right_pad"] or op["pad_width"] > 0):
        raise UnsupportedOperator("rows that are filled up, or kept though they are short")
    ends = c.cast(splits, tf.int64)
    row, place = rows_of(c, ends)
    lengths = c.op("Sub", c.op("Slice", ends, [1], [2**62]), c.op("Slice", ends, [0], [-1]))
    left = c.op("Sub", c.op("Gather", lengths, row), place)
    last = c.op("Sub", c.op("Shape", words), np.array([1]))
    texts, rows = [], []
    for width in op["ngram_widths"]:
        start = places_of(c, c.op("GreaterOrEqual", left, np.array(int(width))))
        made = c.op("Gather", words, start)
        for step in range(1, int(width)):
            after = c.op("Gather", words, c.op("Min", c.op("Add", start, np.array(step)), last))
            made = c.op("StringConcat", c.op("StringConcat", made, np.array(op["separator"], object)), after)
        texts.append(made)
        rows.append(c.op("Gather", row, start))
    every, of = c.op("Concat", *texts, axis=0), c.op("Concat", *rows, axis=0)
    ones = c.op("Expand", np.array(1), c.op("Shape", of))
    counts = c.op("ScatterElements", c.op("Expand", np.array(0), c.op("Shape", lengths)), of, ones, axis=0, reduction="add")
    return [c.op("Gather", every, order_of(c, of)), c.cast(ends_of(c, counts), splits.dtype)]

"""What layers that number words and classes are in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.keras.emitter import Emitter, Tensor, numpy_type, onnx_type
from onward.converters.keras.registry import kind_of, layer
from onward.converters.keras.walk import Walk
from onward.converters.text_hashes import bucket, crossed, fingerprint, hashes, sip_hash
from onward.errors import UnsupportedOperator
from onward.ir import Value


@layer("Discretization")
def discretization(w: Walk, owner: Any, inputs: Any) -> Any:
    """How many of the boundaries are not above a number."""
    c = w.c
    x = c.tensor(inputs, "float32")
    bounds = c.constant(np.array(owner.bin_boundaries, np.float32))
    reached = c.op("Cast", c.op("GreaterOrEqual", c.unsqueeze(x, x.rank), bounds), to=int(onnx_type("int64")))
    index = c.op("ReduceSum", reached, c.integers([-1]), keepdims=0)
    return _encoded(c, owner, Tensor(index, "int64", x.shape), len(owner.bin_boundaries) + 1)


@layer("CategoryEncoding")
def category_encoding(w: Walk, owner: Any, inputs: Any, count_weights: Any = None) -> Any:
    if count_weights is not None:
        raise UnsupportedOperator("weights of counts")
    return _encoded(w.c, owner, w.c.tensor(inputs, "int64"), owner.num_tokens)


def _encoded(c: Emitter, owner: Any, index: Tensor, classes: int, absent: Value | None = None) -> Any:
    """Numbers of classes in the layer's output mode; those that are `absent` count for nothing."""
    mode, dtype = owner.output_mode, getattr(owner, "_value_dtype", owner.compute_dtype)
    dtype = c.floatx if mode == "tf_idf" else dtype
    if mode == "int":
        return c.cast(index, dtype) if dtype in ("int32", "int64") else index
    if mode not in ("one_hot", "multi_hot", "count", "tf_idf") or getattr(owner, "sparse", False):
        raise UnsupportedOperator(f"the output mode '{mode}'")
    if mode == "one_hot" and index.rank > 1 and index.shape[-1] == 1:
        index = Tensor(c.squeeze(index, -1), index.dtype, index.shape[:-1])
    here = c.op("Equal", c.unsqueeze(index, index.rank), c.integers(range(classes)))
    if absent is not None:
        here = c.op("And", here, c.op("Not", c.unsqueeze(absent, index.rank)))
    here = c.op("Cast", here, to=int(onnx_type(dtype)))
    shape = (*index.shape, classes)
    if mode != "one_hot" and index.rank >= 2:
        here, shape = c.op("ReduceMax" if mode == "multi_hot" else "ReduceSum", here, c.integers([-2]), keepdims=0), (*index.shape[:-1], classes)
    return Tensor(c.op("Mul", here, c.constant(c.array(owner.idf_weights_const, dtype))) if mode == "tf_idf" else here, dtype, shape)


@layer("StringLookup", "IntegerLookup")
def lookup(w: Walk, owner: Any, inputs: Any) -> Any:
    """The place of a word or number in the vocabulary, or the word or number of a place."""
    c, text = w.c, kind_of(owner) == "StringLookup"
    if owner.invert:
        return _inverted(c, owner, c.tensor(inputs, "int64"), text)
    index = _places(c, owner, c.tensor(inputs) if text else c.tensor(inputs, "int64"), text)
    return _encoded(c, owner, index, _classes(owner))


def _classes(owner: Any) -> int:
    return int(owner.max_tokens if owner.pad_to_max_tokens else owner.vocabulary_size())


def _places(c: Emitter, owner: Any, x: Tensor, text: bool) -> Tensor:
    """Where each word or number stands in a lookup's vocabulary."""
    words: list[Any] = list(owner.get_vocabulary(include_special_tokens=False))
    places = [owner._token_start_index() + place for place in range(len(words))]
    unknown = owner._oov_start_index()
    if owner.num_oov_indices == 0:
        raise UnsupportedOperator("no place for unknown words, at which Keras fails")
    if owner.mask_token is not None:
        words, places = [owner.mask_token, *words], [owner._mask_value if hasattr(owner, "_mask_value") else 0, *places]
    keys = {"keys_strings": [str(word) for word in words]} if text else {"keys_int64s": [int(word) for word in words]}
    several = owner.num_oov_indices > 1
    index = c.op("LabelEncoder", x, domain="ai.onnx.ml", values_int64s=[int(place) for place in places], default_int64=-1 if several else unknown, **keys)
    if several:
        hashed = text or owner.oov_method == "farmhash"
        other = _hashed(c, owner, x, owner.num_oov_indices) if hashed else c.op("Mod", x, c.number(owner.num_oov_indices, "int64"))
        other = c.op("Add", other, c.number(unknown, "int64"))
        index = c.op("Where", c.op("Less", index, c.number(0, "int64")), other, index)
    return Tensor(index, "int64", x.shape)


def _inverted(c: Emitter, owner: Any, x: Tensor, text: bool) -> Value:
    words = list(owner.get_vocabulary())
    values = {"values_strings": [str(word) for word in words], "default_string": str(owner.oov_token)} if text else {
        "values_int64s": [int(word) for word in words], "default_int64": int(owner.oov_token)}  # fmt: skip
    made: Value = c.op("LabelEncoder", x, domain="ai.onnx.ml", keys_int64s=list(range(len(words))), **values)
    return made


@layer("Hashing")
def hashing(w: Walk, owner: Any, inputs: Any) -> Any:
    """Texts, or numbers as texts, by their hash; a mask has the first place for itself."""
    c, x, count = w.c, w.c.tensor(inputs), owner.num_bins
    masked = owner.mask_value is not None and count > 1
    index = _hashed(c, owner, x, count - masked)
    if masked:
        mask = c.constant(np.array(owner.mask_value, object if x.dtype == "string" else numpy_type(x.dtype)))
        index = c.op("Where", c.op("Equal", x, mask), c.number(0, "int64"), c.op("Add", index, c.number(1, "int64")))
    return _encoded(c, owner, Tensor(index, "int64", x.shape), count)


@layer("HashedCrossing")
def hashed_crossing(w: Walk, owner: Any, inputs: Any) -> Any:
    """One hash of what several columns have in a row."""
    c, columns = w.c, [w.c.tensor(item) for item in inputs]
    texts = [item.dtype == "string" for item in columns]
    flat = [c.reshape(item if text else c.cast(item, "int64"), [-1]) for item, text in zip(columns, texts)]
    index = bucket(crossed(c, flat, CROSSING_KEY, texts), owner.num_bins)
    return _encoded(c, owner, Tensor(c.op("Reshape", index, c.op("Shape", columns[0])), "int64", columns[0].shape), owner.num_bins)


def _hashed(c: Emitter, owner: Any, x: Tensor, count: int) -> Value:
    """The remainder of the hash of texts, or of what integers are as texts, with the layer's salt if it has one."""
    x = c.cast(x, "int64") if x.is_float else x
    text = x if x.dtype == "string" else c.op("Cast", x, to=int(onnx_type("string")))
    salt = getattr(owner, "salt", None)
    method = fingerprint if salt is None else sip_hash([salt, salt] if isinstance(salt, int) else salt)
    index = bucket(hashes(c, c.reshape(text, [-1]), method), count)
    made: Value = c.op("Reshape", index, c.op("Shape", x))
    return made


CROSSING_KEY = 0xDECAFCAFFE
"""TensorFlow's own key of crossed columns."""
PUNCTUATION = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
"""What TextVectorization strips."""


@layer("TextVectorization")
def text_vectorization(w: Walk, owner: Any, inputs: Any) -> Any:
    """Words between white space as their places in the vocabulary. ONNX lowers all letters, TensorFlow those of ASCII."""
    c, x, inner = w.c, w.c.tensor(inputs), owner._lookup_layer
    if owner._ragged or owner._split not in (None, "whitespace", "character") or callable(owner._standardize):
        raise UnsupportedOperator("ragged results, or functions of one's own")
    if owner._ngrams is not None and owner._split is None:
        raise UnsupportedOperator("n-grams of texts that are not split")
    if x.rank > 1 and owner._split is not None:
        x = Tensor(c.reshape(x, [-1]), x.dtype, (None,))
    shape, text = c.op("Shape", x), c.reshape(x, [-1])
    if owner._standardize in ("lower", "lower_and_strip_punctuation"):
        text = c.op("StringNormalizer", text, case_change_action="LOWER")
    if owner._standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
        for character in PUNCTUATION:
            text = _without(c, text, character)
    if owner._split is None:
        words = Tensor(c.op("Reshape", text, shape), x.dtype, x.shape)
    else:
        pieces = c.op("StringSplit", text, outputs=2)[0] if owner._split == "whitespace" else _characters(c, text)
        words = Tensor(pieces if owner._ngrams is None else _n_grams(c, pieces, owner._ngrams), x.dtype, (None, None))
    index = _places(c, inner, words, True)
    absent = c.op("Equal", words, c.constant(np.array("", object))) if owner._split is not None else None
    if owner._output_mode != "int":
        return _encoded(c, inner, index, _classes(inner), absent)
    found, length = index.value, owner._output_sequence_length
    if length is not None:
        more = c.op("Pad", found, c.integers([0] * (2 * words.rank - 1) + [length]))
        found = c.op("Slice", more, c.integers([0]), c.integers([length]), c.integers([words.rank - 1]))
    return found


def _characters(c: Emitter, text: Value) -> Value:
    """No standard operator takes text apart at any character; Tokenizer of com.microsoft does."""
    made: Value = c.op("Tokenizer", text, domain="com.microsoft", separators=[""], mark=0, mincharnum=1, pad_value="")
    return made


def _n_grams(c: Emitter, words: Value, widths: Sequence[int]) -> Value:
    """Neighbouring words of each row with a space between, those of the first width first, filled up with empty text."""
    empty, space, last = c.constant(np.array("", object)), c.constant(np.array(" ", object)), c.integers([1])
    parts = []
    for width in widths:
        ends = [step - width + 1 or np.iinfo(np.int64).max for step in range(width)]
        columns = [c.op("Slice", words, c.integers([step]), c.integers([end]), last) for step, end in enumerate(ends)]
        joined = columns[0]
        for column in columns[1:]:
            joined = c.op("StringConcat", c.op("StringConcat", joined, space), column)
        parts.append(c.op("Where", c.op("Equal", columns[-1], empty), empty, joined))
    every = c.op("Concat", *parts, axis=1)
    there = c.op("Not", c.op("Equal", every, empty))
    count = c.op("Shape", every, start=1)
    places = c.op("Range", c.number(0, "int64"), c.squeeze(count, 0), c.number(1, "int64"))
    _, order = c.op("TopK", c.op("Where", there, places, count), count, axis=1, largest=0, outputs=2)
    longest = c.op("ReduceMax", c.op("ReduceSum", c.op("Cast", there, to=int(onnx_type("int64"))), c.integers([1]), keepdims=0), keepdims=1)
    made: Value = c.op("Slice", c.op("GatherElements", every, order, axis=1), c.integers([0]), longest, last)
    return made


def _without(c: Emitter, text: Value, character: str) -> Value:
    """Text without a character: the pieces between its places, one after the other."""
    pieces, _ = c.op("StringSplit", text, outputs=2, delimiter=character)
    empty = c.op("Expand", c.constant(np.array([""], object)), c.op("Shape", text))
    with c.inner_graph("join") as body:
        before, piece = (c.input(c.graph.fresh_name(name), onnx_type("string"), [c.graph.fresh_name("rows")]) for name in ("text", "piece"))
        body.outputs.append(c.op("StringConcat", before, piece))
    made: Value = c.op("Scan", empty, pieces, body=body, num_scan_inputs=1, scan_input_axes=[1])
    return made

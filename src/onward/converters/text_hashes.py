"""Hashes of texts as TensorFlow takes them, written down in NumPy's terms.

No operator of ONNX sees the bytes of a text. But MurmurHash3 maps the texts of one length, of at most four bytes, one to one to its
numbers, so that the bytes of a single character are found by going back; how many they are, expressions tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onward.converters.tracing import Trace, as_array, repeat
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.pieces import joined, matches, tokens
from onward.ir import Value

BEYOND = ("[\x00-\x7f]?", "[\x00-\u07ff]?", "[\x00-\uffff]?")
"""Characters of one byte, at most two and at most three."""
ROOM = 64
"""Zeros behind the bytes, so that what is read beside them is there."""

Traced = Any
"""A traced array; NumPy's annotations take what becomes of it for arrays of NumPy."""
Hash = Callable[["Text"], Traced]


def code_points(b: Any, text: Value) -> tuple[Traced, Traced]:
    """(texts, characters) int64: the code points of a vector of texts, and how many bytes each has, 0 behind the end."""
    letters = tokens(Trace(b).rows(text, TEXT))
    width = _widths(letters)
    code = _bytes_of(letters, width).astype(np.int64)
    first, *later = (code // 256**place % 256 for place in range(4))
    found: list[Traced] = [first, *(first % 2 ** (7 - count) for count in (2, 3, 4))]
    for count in (2, 3, 4):
        for part_of in later[: count - 1]:
            found[count - 1] = found[count - 1] * 64 + part_of % 64
    return np.where(width < 2, found[0], np.where(width == 2, found[1], np.where(width == 3, found[2], found[3]))), width


class Text:
    """The bytes of texts in UTF-8, with zeros behind the end, and `length` (texts,), how many there are."""

    def __init__(self, text: Traced) -> None:
        letters = tokens(text)
        width = _widths(letters)
        self.length: Traced = np.sum(width, axis=1)
        content = _together(_bytes_of(letters, width), np.cumsum(width, axis=1) - width, self.length).astype(np.uint64)
        self._words: Traced = _from(content, 0)
        for place in range(1, 8):  # onnxruntime sums 64-bit integers in double precision
            self._words = self._words | _from(content, place) << 8 * place

    def words(self, *places: Traced) -> list[Traced]:
        """(texts,) uint64 for each of the places (texts,): the eight bytes there as one number, the first the lowest."""
        found = np.take_along_axis(self._words, np.maximum(np.stack(places, axis=1), 0), axis=1)
        return [found[:, place] for place in range(len(places))]

    def number(self) -> Traced:
        """The length, as a number to compute with."""
        return self.length.astype(np.uint64)


def _widths(letters: Traced) -> Traced:
    """How many bytes characters have."""
    return sum((1 - matches(letters, pattern).astype(np.int64) for pattern in BEYOND), (letters != "").astype(np.int64))


def _bytes_of(letters: Traced, width: Traced) -> Traced:
    """(texts, characters): the bytes of characters as one number, by going back through MurmurHash3 of 32 bits, whose steps are all invertible."""
    state = letters.trace.op("MurmurHash3", letters, dtype=np.uint32, shape=letters.shape, domain="com.microsoft", positive=1, seed=0)
    state = (state ^ state >> 16) * _inverse(0xC2B2AE35)
    state = (state ^ state >> 13 ^ state >> 26) * _inverse(0x85EBCA6B)
    state = state ^ state >> 16 ^ width.astype(np.uint32)
    whole = _turned((state - 0xE6546B64) * _inverse(5), 32 - 13, 32)
    return _turned(np.where(width == 4, whole, state) * _inverse(0x1B873593), 32 - 15, 32) * _inverse(0xCC9E2D51)


def _inverse(factor: int) -> int:
    return pow(factor, -1, 1 << 32)


def _together(code: Traced, start: Traced, length: Traced) -> Traced:
    """(texts, bytes): those of the characters, each at its place, with room behind."""
    trace = code.trace
    longest = _most(length)
    row = trace.op("Range", np.array(0), code.shape[0], np.array(1), dtype=np.int64, shape=length.shape)
    row = row.reshape(-1, 1) + np.zeros_like(start)
    zeros = trace.op("Expand", np.zeros((), np.int64), trace.sizes([code.shape[0], longest + ROOM]), dtype=np.int64, shape=code.shape)
    for place in range(4):
        where, part = np.stack([row, start + place], axis=-1), (code >> 8 * place & 255).astype(np.int64)
        zeros = trace.op("ScatterND", zeros, where, part, dtype=np.int64, shape=zeros.shape, reduction="add")
    return zeros


def _from(content: Traced, place: int) -> Traced:
    """The bytes from a place on, seven fewer than there are."""
    end = np.array([place - 7 if place < 7 else np.iinfo(np.int64).max])
    return content.trace.op("Slice", content, np.array([place]), end, np.array([1]), dtype=np.uint64, shape=content.shape)


def _most(counts: Traced) -> Traced:
    """The largest, zero of none."""
    return np.max(joined([counts, np.zeros(1, np.int64)]))


def _turned(x: Traced, left: int, bits: int = 64) -> Traced:
    return x << left | x >> bits - left


def _chosen(condition: Traced, yes: Traced, no: Traced) -> Traced:
    """Runtimes choose between signed numbers."""
    return np.where(condition, yes.astype(np.int64), no.astype(np.int64)).astype(np.uint64)


def _folded(counts: Traced, states: Sequence[Traced], step: Callable[..., Sequence[Traced]]) -> list[Traced]:
    """States (texts,) that `step(turn, *states)` changes, for each text as often as its count says."""

    def turn_of_all(turn: Traced, table: Traced) -> tuple[Sequence[Traced], Any]:
        before = [table[:, place].astype(np.uint64) for place in range(len(states))]
        after = np.stack([item.astype(np.int64) for item in step(np.minimum(turn, counts), *before)], axis=1)
        return (turn + 1, np.where((turn < counts).reshape(-1, 1), after, table)), np.array(True)

    table: Traced = np.stack([item.astype(np.int64) for item in states], axis=1)
    _, table = repeat(_most(counts), [as_array(counts.trace, np.array(0)), table], turn_of_all)
    return [table[:, place].astype(np.uint64) for place in range(len(states))]


# -- Fingerprint64 -------------------------------------------------------------------------------------------------

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def fingerprint(text: Text) -> Traced:
    """(texts,) uint64. Source: Geoff Pike, FarmHash, 2014 (Fingerprint64)."""
    length, size, zero = text.length, text.number(), text.length * 0
    first, second, *words = text.words(zero, zero + 8, *(length - back for back in (32, 24, 16, 8)), length - 4, zero + 16, zero + 24, length // 2, length - 1)
    factor = K2 + size * 2
    pair = _of_16(size, first, words[3], words[4], factor)
    pair = _either(length > 16, _of_32(first, second, words, factor), pair)
    pair = _either(length > 32, _of_64(first, second, words, factor), pair)
    left, right, factor = _either(length > 64, _of_many(text, first), (*pair, factor))
    few = _mixed(((first & 255) + ((words[7] & 255) << 8)) * K2 ^ (size + ((words[8] & 255) << 2)) * K0) * K2
    return _chosen(length >= 4, _paired(left, right, factor), _chosen(length > 0, few, size * 0 + K2))


def _either(condition: Traced, yes: Sequence[Traced], no: Sequence[Traced]) -> list[Traced]:
    return [_chosen(condition, one, other) for one, other in zip(yes, no, strict=True)]


def _mixed(x: Traced) -> Traced:
    return x ^ x >> 47


def _paired(left: Traced, right: Traced, factor: Any) -> Traced:
    first = _mixed((left ^ right) * factor)
    return _mixed((right ^ first) * factor) * factor


def _of_16(size: Traced, first: Traced, last: Traced, four: Traced, factor: Traced) -> Sequence[Traced]:
    """What is paired at the end of four to 16 bytes."""
    half, start = 0xFFFFFFFF, first + K2
    eight = _turned(last, 27) * factor + start, (_turned(start, 39) + last) * factor
    return _either(size >= 8, eight, (size + ((first & half) << 3), four & half))


def _ends(factor: Traced, a: Traced, b: Traced, before: Traced, last: Traced) -> tuple[Traced, Traced]:
    """What the first two words and the last two make."""
    c = last * factor
    return _turned(a + b, 21) + _turned(c, 34) + before * K2, a + _turned(b + K2, 46) + c


def _of_32(first: Traced, second: Traced, words: Sequence[Traced], factor: Traced) -> Sequence[Traced]:
    return _ends(factor, first * K1, second, words[2], words[3])


def _of_64(first: Traced, second: Traced, words: Sequence[Traced], factor: Traced) -> Sequence[Traced]:
    a = first * K2
    y, right = _ends(factor, a, second, words[2], words[3])
    z = _paired(y, right, factor)
    e, f = words[5] * factor, words[6]
    g, h = (y + words[0]) * factor, (z + words[1]) * factor
    return _turned(e + f, 21) + _turned(g, 34) + h, e + _turned(f + a, 46) + g


def _of_many(text: Text, first: Traced) -> Sequence[Traced]:
    """A state of 56 bytes that each block of 64 changes, the last block read so that it ends with the text; what is paired, and the factor."""
    last = text.length - 1
    blocks, rest, zero = last // 64, (last % 64).astype(np.uint64), first * 0

    def absorbed(turn: Traced, x: Traced, y: Traced, z: Traced, v0: Traced, v1: Traced, w0: Traced, w1: Traced, _: Traced) -> Sequence[Traced]:
        ends = turn == blocks
        factor, times = _either(ends, (K1 + ((z & 255) << 1), zero + 9), (zero + K1, zero + 1))
        raised = v0 + w0 + rest
        v0, w0 = _either(ends, (raised, raised + w0 + rest), (v0, w0))
        at = np.where(ends, text.length - 64, turn * 64)
        return *_block(text, at, (x, y, z, v0, v1, w0, w1), factor, times), factor

    y = (81 * K1 + 113) % 2**64
    z = _mixed(zero + y * K2 % 2**64 + 113) * K2
    states = [first + 81 * K2 % 2**64, zero + y, z, zero, zero, zero, zero, zero]
    counts = np.where(text.length > 64, blocks + 1, blocks * 0)
    x, y, z, v0, v1, w0, w1, factor = _folded(counts, states, absorbed)
    return _paired(v0, w0, factor) + _mixed(y) * K0 + z, _paired(v1, w1, factor) + x, factor


def _block(text: Text, at: Traced, states: Sequence[Traced], factor: Any, times: int) -> Sequence[Traced]:
    x, y, z, v0, v1, w0, w1 = states
    words = text.words(*(at + 8 * place for place in range(8)))
    x = _turned(x + y + v0 + words[1], 27) * factor ^ w1 * times
    y = _turned(y + v1 + words[6], 22) * factor + v0 * times + words[5]
    z = _turned(z + w0, 31) * factor
    v0, v1 = _weak(words[:4], v1 * factor, x + w0)
    w0, w1 = _weak(words[4:], z + w1, y + words[2])
    return z, y, x, v0, v1, w0, w1


def _weak(words: Sequence[Traced], a: Traced, b: Traced) -> tuple[Traced, Traced]:
    first, second, third, last = words
    a = a + first
    b = _turned(b + a + last, 64 - 21)
    whole = a + second + third
    return whole + last, b + _turned(whole, 64 - 44) + a


# -- SipHash -------------------------------------------------------------------------------------------------------


def sip_hash(key: Sequence[int]) -> Hash:
    """SipHash-2-4 with a key of two numbers: (texts,) uint64. Source: Aumasson and Bernstein, SipHash, 2012."""
    low, high = (int(part) % 2**64 for part in key)
    start = (low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D, low ^ 0x6C7967656E657261, high ^ 0x7465646279746573)

    def hashed(text: Text) -> Traced:
        length = text.length
        blocks = length // 8
        zero = text.number() * 0

        def absorbed(turn: Traced, a: Traced, b: Traced, c: Traced, d: Traced) -> Sequence[Traced]:
            word = text.words(turn * 8)[0] | _chosen(turn == blocks, text.number() << 56, zero)  # the length is the last byte
            a, b, c, d = _rounds(a, b, c, d ^ word, 2)
            return a ^ word, b, c, d

        a, b, c, d = _folded(blocks + 1, [zero + part for part in start], absorbed)
        a, b, c, d = _rounds(a, b, c ^ 0xFF, d, 4)
        return a ^ b ^ c ^ d

    return hashed


def _rounds(a: Traced, b: Traced, c: Traced, d: Traced, count: int) -> Sequence[Traced]:
    for _ in range(count):
        a, c = a + b, c + d
        b, d = _turned(b, 13) ^ a, _turned(d, 16) ^ c
        a, c = _turned(a, 32) + d, c + b
        b, d = _turned(b, 17) ^ c, _turned(d, 21) ^ a
        c = _turned(c, 32)
    return a, b, c, d


# -- MurmurHash64A -------------------------------------------------------------------------------------------------

FACTOR, SEED = 0xC6A4A7935BD1E995, 0xDECAFCAFFE


def murmur_hash(text: Text) -> Traced:
    """(texts,) uint64. Source: Austin Appleby, MurmurHash2 (64 bits, A), 2008; the seed is TensorFlow's."""
    length, size = text.length, text.number()

    def absorbed(turn: Traced, state: Traced) -> Sequence[Traced]:
        return [(state ^ _mixed(text.words(turn * 8)[0] * FACTOR) * FACTOR) * FACTOR]

    (state,) = _folded(length // 8, [size * FACTOR ^ SEED], absorbed)
    state = _chosen(length % 8 > 0, (state ^ text.words(length // 8 * 8)[0]) * FACTOR, state)
    return _mixed(_mixed(state) * FACTOR)


# -- in graphs -----------------------------------------------------------------------------------------------------


def hashes(b: Any, text: Value, method: Hash = fingerprint) -> Traced:
    """Hashes (texts,) uint64 of a vector of texts in a graph under construction, of which there may be any number."""
    return method(Text(Trace(b).rows(text, TEXT)))


def bucket(hashed: Traced, count: int) -> Value:
    """The remainders of hashes, int64."""
    return (hashed % count).astype(np.int64).value


def crossed(b: Any, columns: Sequence[Value], key: int, texts: Sequence[bool]) -> Traced:
    """One hash of several columns (rows,): texts, and numbers (int64) that are their own hashes.

    Source: TensorFlow's FingerprintCat64, which is a step of Austin Appleby's MurmurHash2.
    """
    trace = Trace(b)
    result: Any = None
    for column, text in zip(columns, texts):
        part = hashes(b, column) if text else trace.rows(column, np.int64).astype(np.uint64)
        before = part * 0 + key if result is None else result
        result = _mixed(_mixed((before ^ FACTOR ^ _mixed(part * FACTOR) * FACTOR) * FACTOR) * FACTOR)
    return result

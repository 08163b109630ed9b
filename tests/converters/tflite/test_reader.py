"""Files that are damaged or made to harm: an error of ours, whatever the bytes."""

from __future__ import annotations

import functools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onward.converters.request import Request
from onward.converters.tflite import convert
from onward.converters.tflite.reader import read_model
from onward.errors import FormatError, OnwardError
from tests.converters.tflite.cases import CASES
from tests.converters.tflite.making import make


@functools.cache
def file(name: str) -> bytes:
    return make(*CASES[name], kind="int8" if name == "net" else "float")


def attempt(data: bytes) -> None:
    try:
        convert(Request(data))
    except OnwardError:
        pass


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x10\0\0\0TFL3", b"\xff\xff\xff\xffTFL3", b"\0" * 64, b"\x08\0\0\0TFL3" + b"\xff" * 64])
def test_no_file(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_model(data)


def test_truncated() -> None:
    whole = file("while")
    for length in range(0, len(whole), 97):
        attempt(whole[:length])


def test_shared_without_end() -> None:
    """Thousands of subgraphs that are one, with thousands of tensors that are one: millions of tables in a few kilobytes."""
    count = 5000
    start = 28 + 4 + 4 * count
    tensor = start + 16 + 4 + 4 * count + 4
    body = struct.pack("<I4s", 20, b"TFL3") + struct.pack("<HHHHHH", 10, 8, 0, 0, 4, 0) + struct.pack("<iI", 12, 4)
    body += struct.pack("<I", count) + b"".join(struct.pack("<I", start + 8 - (32 + 4 * place)) for place in range(count))
    body += struct.pack("<HHHH", 6, 8, 4, 0) + struct.pack("<iI", 8, 4)
    body += struct.pack("<I", count) + b"".join(struct.pack("<I", tensor - (start + 20 + 4 * place)) for place in range(count))
    body += struct.pack("<HH", 4, 4) + struct.pack("<i", 4)
    with pytest.raises(FormatError, match="over and over"):
        read_model(body)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["net", "while"]), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped(name: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(file(name))
    for place, byte in changes:
        data[int(place * len(data))] = byte
    attempt(bytes(data))

"""The address of an array is that which NumPy gives, however it is found."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onward.runtime import addresses


@given(st.lists(st.integers(0, 4), min_size=0, max_size=4), st.sampled_from(["f4", "i1", "c16", "?", "f2"]), st.randoms())
def test_addresses_of_arrays_and_views(shape: list[int], kind: str, generator: random.Random) -> None:
    array = np.zeros(shape, kind)
    view = np.asarray(array[tuple(slice(generator.randint(0, 2), None, generator.choice([1, 2, -1])) for _ in shape)]).T
    frozen = np.array(view)
    frozen.flags.writeable = False
    for item in (array, view, frozen):
        assert addresses.data_address(item) == item.ctypes.data == addresses._of_interface(item)


def test_elsewhere_the_way_that_always_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.platform, "python_implementation", lambda: "PyPy")
    assert addresses._chosen() is addresses._of_interface
    monkeypatch.undo()
    monkeypatch.setattr(addresses, "_HEADER", addresses._HEADER + 8)
    assert addresses._chosen() is addresses._of_interface

"""Where in the source an equation stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jax._src import source_info_util

LIBRARIES = ("/flax/", "/equinox/", "/haiku/")
"""Frames of these are passed over where the user's own are there."""


def origin_of(equation: Any, outer: Mapping[str, str]) -> dict[str, str]:
    """The path of names that the equation was written under, and the line of Python. `outer` is that of the calling equation."""
    found = dict(outer)
    stack = str(equation.source_info.name_stack)
    if stack:
        above = outer.get("onward.module", "")
        found["onward.module"] = f"{above}/{stack}" if above and not stack.startswith(above) else stack
    line = line_of(equation)
    if line:
        found["onward.source"] = line
    return found


def line_of(equation: Any) -> str:
    """`file:line function` of the innermost frame that the user would look at."""
    traceback = equation.source_info.traceback
    frames = list(source_info_util.user_frames(traceback)) if traceback is not None else []
    own = [frame for frame in frames if not any(library in frame.file_name for library in (*LIBRARIES, "/onward/converters/"))]
    chosen = own or frames
    return f"{chosen[0].file_name}:{chosen[0].start_line} {chosen[0].function_name}" if chosen else ""


def place_of(equation: Any) -> str:
    """The same for a message."""
    origin = origin_of(equation, {})
    module = f" in '{origin['onward.module']}'" if "onward.module" in origin else ""
    return f"{module} at {origin['onward.source']}" if "onward.source" in origin else module

"""Identifiers and literals of generated source. Nothing else of a model's text reaches the source, so none of it can be run."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 48


class Names:
    """Identifiers that are unique in a generated module."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *reserved}

    def fresh(self, wish: str) -> str:
        """An identifier like `wish`: letters, digits and underscores of ASCII, none of those that are taken."""
        plain = re.sub(r"[^0-9A-Za-z_]+", "_", wish)[-LONGEST:].strip("_") or "value"
        plain = f"value_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 2
        while name in self.taken:
            name, number = f"{plain}_{number}", number + 1
        self.taken.add(name)
        return name


class Scopes:
    """Names of weights that are unique, and none of them the scope of another: `layer.weight` lies in `layer`."""

    def __init__(self) -> None:
        self.taken: set[str] = {"file"}  # the name of an argument of numpy.savez
        self.scopes: set[str] = set()

    def fresh(self, wish: str) -> str:
        """A name like `wish`: letters, digits and underscores, with single dots (in place of slashes, too) between its scopes."""
        plain = re.sub(r"[./]+", ".", re.sub(r"[^0-9A-Za-z_./]+", "_", wish)).strip(".") or "weight"
        name, number = plain, 2
        while name in self.taken or name in self.scopes or self.taken.intersection(_scopes(name)):
            name, number = f"{plain.replace('.', '_') if number > 2 else plain}_{number}", number + 1
        self.taken.add(name)
        self.scopes.update(_scopes(name))
        return name


def _scopes(name: str) -> list[str]:
    return [name[:place] for place, letter in enumerate(name) if letter == "."]


def module_of(name: str, metadata: Mapping[str, str]) -> str | None:
    """The name of the module that a node comes from: `/layer1/layer1.0/conv1/Conv` is in layer1.0.conv1. Empty for the model itself, None where the node says nothing."""
    if metadata.get("onward.module"):
        return metadata["onward.module"]
    scopes = re.findall(r"'([^']*)'", metadata.get("pkg.torch.onnx.name_scopes", ""))
    if len(scopes) > 1:  # of PyTorch's own exporter; the last is the node itself
        return scopes[-2]
    parts: list[str] = []
    for part in [item for item in name.split("/") if item][:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1:] = part.split(".")
        else:
            parts.append(part)
    return ".".join(parts) if "/" in name else None


def quoted(text: str) -> str:
    """A text constant; parentheses are escaped too, so that those of the source can be counted."""
    return ascii(text).replace("(", "\\x28").replace(")", "\\x29")


def comment(text: str) -> str:
    """Text of a model for a comment or docstring: one line of printable ASCII without quotes and backslashes."""
    return re.sub(r"[^ !#-&(-\[\]-~]+", " ", text)[:120].strip()


def number(value: Any) -> str:
    """A number, as Python writes it; infinities and NaN as `float("inf")`."""
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, complex):
        return f"complex({number(value.real)}, {number(value.imag)})"
    if isinstance(value, int):
        return repr(value)
    plain = repr(float(value))
    return f'float("{plain}")' if plain in ("inf", "-inf", "nan") else plain

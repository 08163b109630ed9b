"""What the layers that look words and numbers up know, from their configuration and the vocabulary that a file keeps beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onward.converters.keras.files.layer import DERIVED, SavedLayer, plain
from onward.errors import UnsupportedOperator


def _start_of_unknown(layer: SavedLayer) -> int:
    return 1 if layer.mask_token is not None and layer.output_mode == "int" else 0


def _start_of_known(layer: SavedLayer) -> int:
    return _start_of_unknown(layer) + int(layer.num_oov_indices)


def _vocabulary(layer: SavedLayer, include_special_tokens: bool = True) -> list[Any]:
    """The words, with those that stand for a mask and for unknown ones first."""
    special = [layer.mask_token] * _start_of_unknown(layer) + [layer.oov_token] * layer.num_oov_indices
    words = layer.archive.words(layer.place) if layer.config["vocabulary"] is None else plain(layer.config["vocabulary"])
    if not isinstance(words, list):
        raise UnsupportedOperator("its vocabulary does not stand in the file")
    words = words if layer.kind == "StringLookup" else [int(word) for word in words]
    known = words[len(special) :] if words[: len(special)] == special else words
    return [*special, *known] if include_special_tokens else known


def _weights(layer: SavedLayer) -> Any:
    if layer.config["idf_weights"] is None:
        raise UnsupportedOperator("the file does not say its weights of words")
    return [*[sum(given := plain(layer.config["idf_weights"])) / len(given)] * layer.num_oov_indices, *given] if layer.num_oov_indices else given


LOOKUP: dict[str, Callable[[SavedLayer], Any]] = {
    "token_start_index": lambda layer: lambda: _start_of_known(layer),
    "oov_start_index": lambda layer: lambda: _start_of_unknown(layer),
    "get_vocabulary": lambda layer: lambda include_special_tokens=True: _vocabulary(layer, include_special_tokens),
    "vocabulary_size": lambda layer: lambda: len(_vocabulary(layer)),
    "idf_weights_const": _weights,
    "mask_value": lambda layer: 0,
    "value_dtype": lambda layer: "int64",
}


def _inner(layer: SavedLayer) -> SavedLayer:
    """The look-up inside TextVectorization."""
    config = {
        **layer.config, "num_oov_indices": 1, "mask_token": "", "oov_token": "[UNK]", "invert": False, "max_tokens": layer.config["max_tokens"],
    }  # fmt: skip
    return layer.inner({"class_name": "StringLookup", "config": config}, "_lookup_layer", "lookup")


DERIVED["StringLookup"] = DERIVED["IntegerLookup"] = LOOKUP


def _widths(layer: SavedLayer) -> Any:
    given = plain(layer.config["ngrams"])
    return tuple(range(1, given + 1)) if isinstance(given, int) else given


DERIVED["TextVectorization"] = {"lookup_layer": _inner, "ngrams": _widths, "get_vocabulary": lambda layer: layer.lookup_layer.get_vocabulary}

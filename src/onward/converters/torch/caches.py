"""Caches of the transformers library (keys and values, states of recurrences and convolutions), as nested structures of tensors."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch
from torch.utils import _pytree as pytree

from onward.errors import ConversionError


def register_caches() -> None:
    """Makes PyTorch see the tensors in caches, so that they can be inputs and outputs. Nothing happens where the transformers
    library is not in use, or where a user has registered the classes."""
    if "transformers" not in sys.modules:
        return
    try:
        caches = importlib.import_module("transformers.cache_utils")
        kinds, pair = (caches.DynamicCache, caches.StaticCache), caches.EncoderDecoderCache
        caches.DynamicLayer, caches.DynamicSlidingWindowLayer  # noqa: B018 (whether they are there)
    except (ImportError, AttributeError):  # a version without such caches
        return
    for kind in kinds:
        if kind not in pytree.SUPPORTED_NODES:
            _register(kind, _parts, _rebuilt)
    if pair not in pytree.SUPPORTED_NODES:
        _register(pair, lambda cache: ({"self": cache.self_attention_cache, "cross": cache.cross_attention_cache}, None),
                  lambda parts, _: pair(*parts))  # fmt: skip


def _register(kind: Any, parts: Any, rebuilt: Any) -> None:
    def flattened(cache: Any) -> Any:
        found, context = parts(cache)
        return list(found.values()), context

    def with_keys(cache: Any) -> Any:
        found, context = parts(cache)
        return [(pytree.MappingKey(name), item) for name, item in found.items()], context

    pytree.register_pytree_node(
        kind, flattened, rebuilt, serialized_type_name=f"{kind.__module__}.{kind.__name__}", flatten_with_keys_fn=with_keys,
    )  # fmt: skip


_TENSOR, _LENGTH = "a tensor", "the number of tokens"


def _parts(cache: Any) -> tuple[dict[str, Any], Any]:
    """The tensors of the layers by name; and what else the cache and its layers are.

    Raises ConversionError for a layer that counts its tokens in Python while its tensors keep their sizes.
    """
    found: dict[str, Any] = {}
    layers = []
    for place, layer in enumerate(cache.layers):
        if hasattr(layer, "cumulative_length_int"):
            raise ConversionError(
                f"a {type(layer).__name__} counts its tokens in Python, where a model does not see them: pass a DynamicCache(config=...) instead, or "
                "StaticCache for a model without sliding windows"
            )
        said = {name: item for name, item in vars(layer).items() if not name.startswith("_")}
        paths, structure = pytree.tree_flatten_with_path(said)
        rest = []
        for path, item in paths:
            name, *keys = [str(key.key) for key in path]
            if isinstance(item, torch.Tensor):
                found["_".join([name.removesuffix("s"), *keys, str(place)])] = item
            rest.append(_TENSOR if isinstance(item, torch.Tensor) else _LENGTH if name == "cumulative_length" else item)
        layers.append((type(layer), structure, rest))
    return found, (type(cache), {name: item for name, item in vars(cache).items() if name != "layers"}, layers)


def _rebuilt(values: Any, context: Any) -> Any:
    """The cache itself, without the empty tensors that its own constructor makes, which would be constants of a graph."""
    given = iter(values)
    kind, others, layers = context
    cache = kind.__new__(kind)
    cache.__dict__ |= others | {"layers": []}
    for layer_kind, structure, rest in layers:
        layer = layer_kind.__new__(layer_kind)
        layer.__dict__ |= pytree.tree_unflatten([next(given) if item is _TENSOR else item for item in rest], structure)
        cache.layers.append(layer)
    windowed = [layer for layer in cache.layers if getattr(layer, "cumulative_length", None) is _LENGTH]
    growing = [layer for layer in cache.layers if hasattr(layer, "keys") and layer not in windowed]
    for layer in windowed:  # has seen as many tokens as a layer that keeps them all
        keys = [keeper.keys for keeper in (*growing, layer) if hasattr(keeper.keys, "shape")]
        layer.cumulative_length = keys[0].shape[-2] if keys else 0
    return cache

"""Caches of keys and values of the transformers library, as nested structures of tensors."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torch.utils import _pytree as pytree


def register_caches() -> None:
    """Makes PyTorch see the tensors in caches, so that they can be inputs and outputs. Nothing happens where the transformers
    library is not in use, or where a user has registered the classes."""
    if "transformers" not in sys.modules:
        return
    try:
        caches = importlib.import_module("transformers.cache_utils")
        dynamic, pair = caches.DynamicCache, caches.EncoderDecoderCache
        caches.DynamicLayer, caches.DynamicSlidingWindowLayer  # noqa: B018 (whether they are there)
    except (ImportError, AttributeError):  # a version without such caches
        return
    if dynamic not in pytree.SUPPORTED_NODES:
        _register(dynamic, _parts, _rebuilt)
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


def _parts(cache: Any) -> tuple[dict[str, Any], Any]:
    """Keys and values by layer; and for each layer the width of its window, or None, and whether it holds anything."""
    found: dict[str, Any] = {}
    for place, layer in enumerate(cache.layers):
        if layer.keys is not None:
            found |= {f"key_{place}": layer.keys, f"value_{place}": layer.values}
    return found, [(getattr(layer, "sliding_window", None), layer.keys is not None) for layer in cache.layers]


def _rebuilt(values: Any, context: Any) -> Any:
    """The cache itself, without the empty tensors that its own constructor makes, which would be constants of a graph."""
    caches = importlib.import_module("transformers.cache_utils")
    given = iter(values)
    layers = []
    for window, filled in context:
        kind = caches.DynamicLayer if window is None else caches.DynamicSlidingWindowLayer
        layer = kind.__new__(kind)
        layer.keys = layer.values = None
        layer.is_initialized = filled
        if window is not None:
            layer.sliding_window, layer.record_past, layer.cumulative_length = window, False, 0
        if filled:
            layer.keys, layer.values = next(given), next(given)
            layer.device = getattr(layer.keys, "device", None)
            if window is not None and hasattr(layer.keys, "shape"):
                layer.cumulative_length = layer.keys.shape[-2]
        layers.append(layer)
    cache = caches.DynamicCache()
    cache.layers = layers
    return cache

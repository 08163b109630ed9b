"""Decoders of the transformers library whose caches of keys and values go in and come out, with open lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.utils import _pytree as pytree
from transformers import cache_utils

import onward
from onward.converters.certificate import Certificate
from onward.converters.torch.caches import register_caches
from onward.errors import ConversionError
from tests.converters.torch.architectures import CASES, DECODER

DECODERS = ["GPT2", "Llama", "Qwen3", "OPT", "GPTNeoX"]


def decoder(name: str) -> Any:
    kind, settings, _ = CASES[name]
    torch.manual_seed(0)
    model_class = getattr(transformers, kind)
    return model_class(model_class.config_class(**{**settings, "use_cache": True})).eval()


def step_by_step(session: onward.InferenceSession, tokens: np.ndarray, past: list[np.ndarray]) -> np.ndarray:
    """The logits of the last token, each token in a step of its own with what the step before gave."""
    names = [item.name for item in session.get_inputs()]
    caches = [name for name in names if name.startswith("cache")]
    for place in range(tokens.shape[1]):
        length = past[0].shape[2] + 1
        feeds = dict(zip(caches, past, strict=True)) | {"input_ids": tokens[:, place : place + 1]}
        feeds["attention_mask"] = np.ones((len(tokens), length), np.int64)
        logits, *past = session.run(None, {name: feeds[name] for name in names})
    return logits[:, -1]


@pytest.mark.models
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_with_caches(name: str) -> None:
    module = decoder(name)
    tokens = torch.randint(3, 99, (2, 12))
    with torch.no_grad():
        begun = module(input_ids=tokens[:, :6], use_cache=True).past_key_values
        expected = module(input_ids=tokens).logits[:, -1]
    example = {"input_ids": tokens[:, 6:9], "attention_mask": torch.ones(2, 9, dtype=torch.int64), "cache": begun}
    model = onward.convert(module, example)
    certificate = Certificate.of(model)
    assert certificate is not None
    assert "larger open sizes" in certificate.shapes
    past = [item.numpy() for layer in begun.layers for item in (layer.keys, layer.values)]
    assert past[0].shape[2] == 6, "the conversion wrote into the example"
    found = step_by_step(onward.InferenceSession(model), tokens[:, 6:].numpy(), past)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def filled(*layers: Any) -> Any:
    """A cache of these layers, with three tokens."""
    cache = transformers.DynamicCache()
    cache.layers = list(layers)
    for layer in layers:
        if isinstance(layer, cache_utils.CacheLayerMixin):
            layer.update(torch.randn(2, 4, 3, 8), torch.randn(2, 4, 3, 8))
        if isinstance(layer, cache_utils.LinearAttentionCacheLayerMixin):
            layer.update_conv_state(torch.randn(2, 8, 4))
            layer.update_recurrent_state(torch.randn(2, 4, 8, 8))
    return cache


@pytest.mark.parametrize("layers", [("full_attention", "linear_attention"), ("indexed_attention", "hybrid"), ("dummy", "sliding_attention", "full_attention")])
def test_layers_of_caches(layers: tuple[str, ...]) -> None:
    register_caches()
    cache = filled(*(cache_utils.DYNAMIC_LAYER_TYPE_MAPPING[name](sliding_window=3) for name in layers))
    tensors, structure = pytree.tree_flatten(cache)
    assert len(tensors) == 2 * sum(name not in ("dummy", "hybrid") for name in layers) + 4 * layers.count("hybrid")
    again = pytree.tree_unflatten([item.clone() for item in tensors], structure)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in cache.layers]
    assert again.get_mask_sizes(2, 0) == cache.get_mask_sizes(2, 0)
    windows = [layer for layer in again.layers if hasattr(layer, "cumulative_length")]
    assert [(layer.keys.shape[2], layer.cumulative_length) for layer in windows] == [(2, 3)] * len(windows), "the window is shorter than what was seen"
    assert pytree.tree_structure(again) == structure


def test_a_window_that_is_counted_in_python_is_refused() -> None:
    register_caches()
    cache = filled(cache_utils.StaticSlidingWindowLayer(max_cache_len=8, sliding_window=4))
    with pytest.raises(ConversionError, match="DynamicCache"):
        pytree.tree_flatten(cache)


HYBRID = {
    **DECODER, "head_dim": 8, "layer_types": ["conv", "full_attention"], "conv_L_cache": 3, "block_multiple_of": 8, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.mark.parametrize("static", [False, True])
def test_states_and_places_in_caches(static: bool) -> None:
    """A convolution's last inputs; or keys and values in a tensor of a fixed length, and how many there are."""
    torch.manual_seed(0)
    kind, settings = ("LlamaForCausalLM", DECODER) if static else ("Lfm2ForCausalLM", HYBRID)
    model_class = getattr(transformers, kind)
    module = model_class(model_class.config_class(**{**settings, "num_hidden_layers": 2})).eval()
    tokens = torch.randint(3, 99, (2, 9))
    cache = transformers.StaticCache(config=module.config, max_cache_len=12) if static else None
    with torch.no_grad():
        begun = module(input_ids=tokens[:, :6], cache=cache, use_cache=True).cache
        expected = module(input_ids=tokens).logits[:, -1]
    model = onward.convert(module, {"input_ids": tokens[:, 6:8], "attention_mask": torch.ones(2, 8, dtype=torch.int64), "cache": begun})
    session = onward.InferenceSession(model)
    past = {name: item.numpy() for name, item in zip(inputs_of(session), pytree.tree_leaves(begun), strict=True)}
    for length in (7, 8, 9):
        feeds = {"input_ids": tokens[:, length - 1 : length].numpy(), "attention_mask": np.ones((2, length), np.int64), **past}
        logits, *states = session.run(None, feeds)
        past = dict(zip(past, states, strict=True))
    np.testing.assert_allclose(logits[:, -1], expected, atol=1e-5)


def inputs_of(session: onward.InferenceSession) -> list[str]:
    """The inputs that are parts of a cache."""
    return [item.name for item in session.get_inputs() if item.name.startswith("cache")]

"""Decoders of the transformers library whose caches of keys and values go in and come out, with open lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

import onward
from onward.converters.certificate import Certificate
from tests.converters.torch.architectures import CASES

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

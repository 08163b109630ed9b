"""Writes small transformers with random weights, as the older exporter of PyTorch makes them, for comparisons of converters.

    python tools/small_transformers.py FOLDER

BERT, GPT-2, the encoder of T5, and ViT, of two layers each: opset 16, fixed sizes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from export_models import quiet, randomised

VOCABULARY = 200
ENCODER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
MODELS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "bert": ("BertConfig", "BertModel", "last_hidden_state", ENCODER),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", "logits", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "t5": ("T5Config", "T5EncoderModel", "last_hidden_state", {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}),
    "vit": ("ViTConfig", "ViTModel", "last_hidden_state", {**ENCODER, "image_size": 32, "patch_size": 8}),
}
"""name -> configuration, class, the output that is wanted, settings"""


class OneOutput(torch.nn.Module):
    """A model of transformers with one input and one output."""

    def __init__(self, body: torch.nn.Module, output: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.body, self.output, self.options = body, output, options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype.is_floating_point:
            return self.body(x)[self.output]  # type: ignore[no-any-return]
        return self.body(input_ids=x, attention_mask=torch.ones_like(x), **self.options)[self.output]  # type: ignore[no-any-return]


def main(folder: Path) -> None:
    """Writes all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (config, kind, output, settings) in MODELS.items():
        torch.manual_seed(0)
        is_text = name != "vit"
        size = {"vocab_size": VOCABULARY} if is_text else {}
        body = randomised(getattr(transformers, kind)(getattr(transformers, config)(**settings, **size)))
        module = OneOutput(body, output, {"use_cache": False} if name == "gpt2" else {}).eval()
        example = torch.randint(0, VOCABULARY, (2, 16)) if is_text else torch.randn(2, 3, 32, 32)
        names = {"input_names": ["input_ids" if is_text else "pixel_values"], "output_names": [output]}
        with quiet():
            torch.onnx.export(module, (example,), folder / f"{name}.onnx", dynamo=False, opset_version=16, **names)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

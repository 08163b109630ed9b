"""What configurations say of data types: in which one a layer computes, and of what its weights are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from onward.converters.keras.layers.quantized import letters_of


@dataclass(frozen=True)
class Policy:
    """A policy of data types."""

    compute_dtype: str
    mode: str | None = None
    """What codes the weights are: "int8", "int4", "float8", "gptq", "awq"; None for numbers."""
    grouped: bool = False
    """Whether groups of codes have a scale and a zero of their own."""

    @staticmethod
    def of(described: Any, path: str) -> Policy:
        """The policy that a configuration says for the layer of that path."""
        if isinstance(described, dict) and described["class_name"] == "DTypePolicyMap":
            config = described["config"]
            policies = config["policy_map"] or {}
            key = path if path in policies else next((pattern for pattern in policies if re.fullmatch(pattern, path)), None)
            return Policy.of(config["default_policy"] if key is None else policies[key], path)
        if isinstance(described, dict):
            config = described["config"]
            if "mode" in config:
                return Policy._coded(config["mode"], config.get("source_name"))
            described = config.get("name")
        mode, separator, source = (described or "float32").partition("_from_")
        return Policy._coded(mode, source) if separator else Policy(_computed(mode))

    @staticmethod
    def _coded(mode: str, source: str | None) -> Policy:
        kind, *sizes = mode.split("/")
        return Policy(_computed(source or "float32"), kind, any(int(size) > 0 for size in sizes))


def _computed(name: str) -> str:
    return name.removeprefix("mixed_")


def inputs_quantizer(kind: str, mode: str, config: Mapping[str, Any]) -> Any:
    """How a layer rounds its inputs, None where it does not: as it was told, else bytes to bytes, and before scores of words."""
    told = config.get("quantization_config")
    if told is None:
        return SimpleNamespace(value_range=(-127, 127), epsilon=1e-7) if mode == "int8" or kind == "ReversibleEmbedding" else None
    given = told["config"]["activation_quantizer"]
    return None if given is None else SimpleNamespace(value_range=given["config"]["value_range"], epsilon=given["config"]["epsilon"])


def kernel_shape(equation: str, inputs: Any, outputs: Any) -> list[int]:
    """The axes of a kernel: extents are those of the inputs, or at the end of the output; -1 is what is left."""
    letters, kernel, result = letters_of(equation)
    given = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    known = dict(zip(reversed(result), reversed(given))) | dict(zip(letters, inputs))
    return [known.get(letter) or -1 for letter in kernel]

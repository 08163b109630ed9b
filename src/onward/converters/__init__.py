"""From other frameworks to ONNX: `onward.convert(model)`. Every conversion proves that it computes the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onward.errors import ConversionMismatch, InvalidArgument

if TYPE_CHECKING:
    from onward.converters.certificate import Certificate, Progress, Reference
    from onward.converters.localization import Divergence
    from onward.ir import Model

OLDEST = 13
"""The oldest version of ONNX's operators that models are converted to."""
WRITTEN = 18
"""The oldest version that converters write themselves: from there on reductions take their axes as inputs. Older ones are made of it."""

__all__ = ["Certificate", "ConversionMismatch", "convert", "divergence", "verify"]


def convert(
    source: Any,
    example_inputs: Any = None,
    *,
    opset: int | None = None,
    dynamic_shapes: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    methods: Sequence[str] = (),
    verify: bool = True,
    tolerance: float | None = None,
    trust: bool = False,
    framework: str | None = None,
    progress: Progress | None = None,
    to: str | None = None,
    output: Any = None,
    constants: Mapping[str, Any] | None = None,
) -> Any:
    """The ONNX model that computes what `source` computes, or with `to` the native object of another framework.

    `source` is a model of one of the frameworks of `frameworks.py`, or the path of its file or folder; docs/converters.md
    says what of each. Reading a pickle runs the code in it: `trust` says that it is from a
    source that may do that. `framework` names the source's framework ("torch", "xgboost" ...) where its type or its file's ending
    does not say it.

    `example_inputs` are the arguments of a module or function: a tuple, or a dictionary of keywords; for trees and estimators
    rows that are tried besides generated data. `dynamic_shapes` says which sizes stay open: in PyTorch's
    form, where text stands for an open dimension ({} leaves none open), or for every framework as a list of the names of those that
    stay open, the others being fixed at the example's. By default all stay open that can; the
    certificate notes those that cannot. `methods` are those of an estimator that become outputs, by default `predict` and
    `predict_proba`, or `transform`.

    `tolerance` is the greatest difference allowed, relative to the largest value of an output (by default that of the
    source's data type). The certificate of the comparison is kept in the model's metadata. `progress` is called with what is
    being done, the step and the number of steps.

    `to` names the target: "numpy", "torch", "tensorflow", "tflite", "keras", "jax", "sklearn" or "xgboost", or "numpy-source" and the like for the
    text of a module. `source` may then be an ONNX model, too; `output` is a folder that the module and its weights are written into, or
    the target's own file, `constants` are inputs that shall be fixed (docs/converters/targets.md). What is proved is then that the
    result computes what the ONNX model does.

    Raises InvalidArgument for arguments that make no sense, UnsupportedModel for a source that nobody reads here, UnsupportedOperator for parts of it without an
    equivalent, ConversionError for a source that cannot be captured, and ConversionMismatch (which has the model as `model`) when
    the result does not compute the same.
    """
    from onward.converters import certificate
    from onward.converters.frameworks import recognized
    from onward.converters.open_sizes import fix_others
    from onward.converters.request import Request
    from onward.converters.source import record
    from onward.ir import Model, load
    from onward.operators import newest_opset
    from onward.tools import convert_version

    if to is not None:
        from onward.converters.targets import produce

        if _is_onnx(source):
            between = source if isinstance(source, Model) else load(source)
        else:
            between = convert(
                source, example_inputs, opset=opset, dynamic_shapes=dynamic_shapes, input_names=input_names, output_names=output_names,
                methods=methods, verify=verify, tolerance=tolerance, trust=trust, framework=framework, progress=progress,
            )  # fmt: skip
        examples, named = example_inputs if _is_onnx(source) else None, record(source)
        return produce(between, to, output, constants=constants, examples=examples, verify=verify, tolerance=tolerance, source=named, progress=progress)
    if output is not None or constants is not None:
        raise InvalidArgument("`output` and `constants` belong to a target: say which one with `to`")
    if opset is not None and not OLDEST <= opset <= newest_opset():
        raise InvalidArgument(
            f"opset {opset} cannot be written; known are {OLDEST} to {newest_opset()}. onward.convert_version goes to older ones where it can"
        )
    report = progress or (lambda *_: None)
    report("reading the source", 0, 1)
    owner, loaded = recognized(source, trust, framework)
    names = list(output_names) if output_names else None
    staying = dynamic_shapes if isinstance(dynamic_shapes, list) and all(isinstance(name, str) for name in dynamic_shapes) else None
    shapes = None if staying is not None else dynamic_shapes
    report("converting", 0, 1)
    written = opset if opset is None else max(opset, WRITTEN)
    request = Request(loaded, example_inputs, written, shapes, list(input_names or []), names, list(methods))
    model, reference = owner.page().convert(request)
    if opset is not None and opset < WRITTEN:
        model = convert_version(model, opset)
    if staying is not None:
        reference = fix_others(model, reference, staying)
    if verify:
        certificate.certify(model, reference, example_inputs, tolerance, record(source), progress)
    return model


def verify(
    model: Any,
    source: Any = None,
    example_inputs: Any = None,
    *,
    methods: Sequence[str] = (),
    tolerance: float | None = None,
    trust: bool = False,
    framework: str | None = None,
    progress: Progress | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Certificate:
    """Compares a model (anything that `onward.load` takes, a Model, or what a target wrote) with the source that it was made of, and gives a new
    certificate. Without `source` it is the file that the model's certificate names; where it names none, since the source was an object, an ONNX model is run
    again on the data that the certificate keeps, and compared with what the source gave for them. Inputs and outputs must have the
    names that `convert` gave them.

    What `convert(..., to=..., output=...)` wrote is known by the certificate beside it or in it, and may be either of the two arguments; `constants` are then
    those of its conversion.

    Raises InvalidArgument where no source is known, ConversionMismatch where the two differ or the source's file is another
    one than it was, and what `convert` raises for the source.
    """
    from onward.converters import certificate
    from onward.converters.source import onnx_model, record, recorded

    for written, other in ((source, model), (model, source)):
        if isinstance(written, (str, os.PathLike)) and (proved := certificate.Certificate.beside(Path(written))) is not None:
            from onward.converters.targets.written import compare

            origin = recorded(proved, written) if other is None else other
            onnx = _is_onnx(origin)
            between = onnx_model(origin) if onnx else convert(origin, example_inputs, methods=methods, trust=trust, framework=framework, progress=progress)
            return compare(Path(written), between, constants or {}, example_inputs if onnx else None, tolerance, trust, progress)
    loaded = onnx_model(model)
    known = certificate.Certificate.of(loaded)
    if source is None and (known is None or not known.source):
        if example_inputs is not None:
            raise InvalidArgument("the model does not say what file it was converted from: pass the source with the example inputs")
        return certificate.repeated(loaded, tolerance)
    origin = recorded(known, loaded.path) if source is None and known is not None else source
    reference = _reference(loaded, origin, example_inputs, methods, trust, framework)
    return certificate.certify(loaded, reference, example_inputs, tolerance, record(origin), progress)


def divergence(
    model: Any,
    source: Any,
    example_inputs: Any = None,
    *,
    tolerance: float | None = None,
    trust: bool = False,
    framework: str | None = None,
) -> Divergence | None:
    """The first operator of a model whose result differs from the source's, or from that of another ONNX model with the same
    names of values; None where nothing differs. `example_inputs` are arrays by input name, by default those that a conversion
    tries; where a source has to be called to be read (a function, a module), they are its example inputs, as in `convert`.

    Raises InvalidArgument for a source of a framework that does not tell what it computes on the way, and for another ONNX
    model without `example_inputs`.
    """
    from onward.converters import certificate
    from onward.converters import localization as page
    from onward.ir import Model, load

    loaded = model if isinstance(model, Model) else load(model)
    if _is_onnx(source):
        if example_inputs is None:
            raise InvalidArgument("two ONNX models are compared on example_inputs: arrays by input name")
        other = source if isinstance(source, Model) else load(source)
        theirs = page.values_of(other, page.common_values(loaded, other), example_inputs)
        return page.first_divergence(loaded, theirs, example_inputs, tolerance=tolerance)
    named = isinstance(example_inputs, Mapping) and set(example_inputs) <= {value.name for value in loaded.graph.inputs}
    reference = _reference(loaded, source, None if named else example_inputs, (), trust, framework)
    if reference.values is None:
        raise InvalidArgument(f"{reference.framework} does not tell what it computes on the way: compare outputs with verify")
    first = loaded.graph.inputs[0].name
    tried = [item if isinstance(item, Mapping) else {first: item} for item in reference.data.values()]
    chosen = [dict(example_inputs)] if named else tried
    for feeds in chosen:
        found = certificate.divergence_from(loaded, reference, feeds, tolerance)
        if found is not None:
            return found
    return None


def _reference(model: Model, source: Any, examples: Any, methods: Sequence[str], trust: bool, framework: str | None) -> Reference:
    """The source as the judge of a model that was made of it earlier."""
    from onward.converters.frameworks import recognized
    from onward.converters.request import Request

    owner, original = recognized(source, trust, framework)
    inputs, outputs = ([value.name for value in values] for values in (model.graph.inputs, model.graph.outputs))
    _, reference = owner.page().convert(Request(original, examples, None, None, inputs, outputs, list(methods)))
    return reference


def _is_onnx(source: Any) -> bool:
    from onward.ir import Model

    return isinstance(source, (Model, bytes)) or hasattr(source, "SerializeToString") or str(source).endswith(".onnx")


def __getattr__(name: str) -> Any:
    if name == "Certificate":  # with NumPy, which `import onward` does not load
        from onward.converters.certificate import Certificate

        return Certificate
    raise AttributeError(f"module 'onward.converters' has no attribute '{name}'")

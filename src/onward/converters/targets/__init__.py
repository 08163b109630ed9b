"""From ONNX to other frameworks: a target prints Python source in its own language, and that source is what is returned.

`TARGETS` lists them: the page is the folder of that name beside this file, `printing` what all of them share. A page has `source_of(model, constants)`, the text of a
module and its weights; `convert(model, constants)`, the native object that the text defines; `write(model, folder, constants)`,
which leaves both in a folder; and `arrays(results)`, results as NumPy arrays.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onward import operators
from onward.errors import InvalidArgument
from onward.ir import Model

if TYPE_CHECKING:
    from onward.converters.certificate import Progress

TARGETS = {"numpy": "NumPy"}
"""name -> title"""

SOURCE = "-source"
"""`numpy-source` is the text where `numpy` is the object."""


def produce(
    model: Model,
    to: str,
    output: Any = None,
    *,
    constants: Mapping[str, Any] | None = None,
    examples: Any = None,
    verify: bool = True,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> Any:
    """The native object of a target that computes what an ONNX model computes, or its source as text for `...-source`.

    With `output` the source and its weights are written into that folder too, and the certificate of the comparison with the
    model. `constants` are values of inputs that the result shall not have any more: axes, for instance, which give a result its rank.

    Raises InvalidArgument for an unknown target or a value that is not one of a model's inputs, UnsupportedOperator with everything
    that has no equivalent, NotConstant where inputs have to be constants, and ConversionMismatch when the result computes
    something else; nothing is written then.
    """
    from onward.converters.targets.proof import prove

    name = to.removesuffix(SOURCE)
    if name not in TARGETS:
        known = ", ".join(item for target in TARGETS for item in (target, target + SOURCE))
        raise InvalidArgument(f"there is no target '{to}'; known are {known}")
    given = dict(constants or {})
    unknown = given.keys() - {value.name for value in model.graph.inputs}
    if unknown:
        raise InvalidArgument(f"the model has no inputs {', '.join(sorted(unknown))}")
    operators.check(model, shapes=False)
    page = importlib.import_module(f"onward.converters.targets.{name}")
    result = page.convert(model, given)
    certificate = prove(model, TARGETS[name], result, page.arrays, given, examples, tolerance, progress) if verify else None
    if output is not None:
        page.write(model, Path(output), given)
        if certificate is not None:
            (Path(output) / "certificate.json").write_text(certificate + "\n", encoding="utf-8")
    return page.source_of(model, given)[0] if to.endswith(SOURCE) else result

"""What a certificate accepts: the judge is the source in double precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from onward.converters.certificate import Certificate, Reference, certify
from onward.errors import ConversionMismatch
from onward.ir import Model
from onward.ir.io import parse_text

DATA = np.full((2, 3), 1.5, np.float32)


def spread(noise: float) -> Model:
    """A model that computes 1e4 (x - mean of x) + noise."""
    return parse_text(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        spread (float[N, 3] x) => (float[N, 3] y)
        {{
            axes = Constant <value_ints = [1]> ()
            scale = Constant <value_float = 1e4> ()
            noise = Constant <value_float = {noise}> ()
            mean = ReduceMean (x, axes)
            apart = Sub (x, mean)
            large = Mul (apart, scale)
            y = Add (large, noise)
        }}"""
    )


def reference(noise: float) -> Reference:
    """The same, with a noise of its own in single precision."""

    def exactly(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        x = feeds["x"].astype(np.float64)
        return {"y": 1e4 * (x - x.mean(1, keepdims=True))}

    def outputs(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": (exactly(feeds)["y"] + noise).astype(np.float32)}

    return Reference("a source", {"equal numbers": {"x": DATA}}, outputs, exactly)


def test_ill_conditioned_data_are_judged_by_what_a_small_change_does() -> None:
    """Numbers changed by 1e-6 move the exact result by some 1e-2: 1e-3 is rounding, 1 is not."""
    certificate = certify(spread(1e-3), reference(1e-4), None, None)
    assert "ill-conditioned" in certificate.notes[0] and certificate.differences["y"]["absolute"] > 5e-4
    with pytest.raises(ConversionMismatch, match="from double precision ours differs by 1, the source by 0.0001"):
        certify(spread(1.0), reference(1e-4), None, None)


def test_data_that_the_source_computes_well_are_not_ill_conditioned() -> None:
    with pytest.raises(ConversionMismatch, match="the source by 0"):
        certify(spread(1e-3), reference(0.0), None, None)


def test_the_source_s_own_rounding_is_accepted() -> None:
    certificate = certify(spread(1e-4), reference(-1e-4), None, None)
    assert certificate.notes == [] and Certificate.of(spread(0.0)) is None

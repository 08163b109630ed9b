"""ImageDecoder."""

from __future__ import annotations

import io

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument, InvalidInput, RunError
from onward.ir.datatypes import DataType
from onward.operators.registry import operator

_CHANNELS = {"RGB": 3, "BGR": 3, "Grayscale": 1}


@operator("ImageDecoder", since=20)
def image_decoder(encoded_stream: P.Array, *, pixel_format: str = "RGB") -> P.Array:
    """The picture in a stream of bytes (BMP, JPEG, JPEG 2000, TIFF, PNG, WebP, PNM), uint8 (rows, columns, channels).

    `pixel_format` is RGB, BGR or Grayscale. Decoding is Pillow's, which must be installed. ONNX ImageDecoder-20.
    """
    channels = _CHANNELS.get(pixel_format)
    if channels is None:
        raise InvalidArgument(f"there is no pixel_format '{pixel_format}'; known are {', '.join(_CHANNELS)}")

    def decode(stream: np.ndarray) -> tuple[np.ndarray, ...]:
        pixels = _pixels(stream, "L" if channels == 1 else "RGB")
        return (np.ascontiguousarray(pixels[..., ::-1] if pixel_format == "BGR" else pixels),)

    rows, columns = P.fresh_symbol("rows"), P.fresh_symbol("columns")
    shape = (rows, columns, channels)
    (result,) = P.routine("host", [encoded_stream], [(shape, DataType.UINT8)], [rows, columns], function=decode)
    return result


def _pixels(stream: np.ndarray, mode: str) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as problem:
        raise RunError("ImageDecoder needs Pillow; install onward[image]") from problem
    try:
        with Image.open(io.BytesIO(stream.tobytes())) as picture:
            pixels = np.asarray(picture.convert(mode))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise InvalidInput(f"the {stream.size} bytes fed to ImageDecoder are no picture that can be read: {problem}") from problem
    return pixels[..., None] if pixels.ndim == 2 else pixels

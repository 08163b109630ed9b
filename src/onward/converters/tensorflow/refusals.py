"""Why operators have no translation, where there is more to say than that."""

from __future__ import annotations

PICTURES = "pictures are decoded before the model: convert a signature that takes their elements"
EXAMPLES = "ONNX has no operator for protocol buffers: convert a signature that takes the tensors which it reads from them"
CHANGED = "a table that a run changes is a state, and a model has none: fill it before, and convert it as a static table"
SCHUR = "it needs Schur's form of a matrix that is not symmetric, which is a search without a bound on its steps"
DRAWN = "its numbers are drawn until one is accepted, for which ONNX has no distribution"
WINDOWS = "TensorFlow's own generator draws the bounds of its windows"
CODE_POINTS = "ONNX has text in UTF-8 only, and makes none of code points"
CODE = "it calls code of Python's: say it in operators of TensorFlow"

REFUSALS = {
    **dict.fromkeys(("DecodeJpeg", "DecodePng", "DecodeBmp", "DecodeGif", "DecodeImage", "DecodeAndCropJpeg", "DecodeWebP"), PICTURES),
    **dict.fromkeys(("ParseExample", "ParseExampleV2", "ParseSingleExample", "ParseSequenceExample", "ParseSequenceExampleV2", "DecodeProtoV2"), EXAMPLES),
    **dict.fromkeys(("MutableDenseHashTableV2", "MutableHashTableOfTensorsV2", "LookupTableInsertV2", "LookupTableRemoveV2"), CHANGED),
    **dict.fromkeys(("Eig", "MatrixLogarithm"), SCHUR),
    **dict.fromkeys(("RandomPoisson", "RandomPoissonV2", "RandomGamma", "StatelessRandomGammaV2", "StatelessRandomPoisson", "StatelessRandomBinomial"), DRAWN),
    **dict.fromkeys(("FractionalMaxPool", "FractionalAvgPool"), WINDOWS),
    **dict.fromkeys(("SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2"), "it draws crops at random, with which pictures for training are made"),
    **dict.fromkeys(("UnicodeEncode",), CODE_POINTS),
    **dict.fromkeys(("PyFunc", "EagerPyFunc", "PyFuncStateless"), CODE),
    "ReadFile": "files are read before the model",
    "CTCBeamSearchDecoder": "its beam is a tree of prefixes that grows and merges as it runs: decode greedily, or outside the model",
    "XlaCallModule": "it holds a program of another framework, such as JAX: convert the function that it was made of",
}

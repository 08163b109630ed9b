"""Files of Keras 3 (.keras and .h5) without Keras: the configurations of their layers are walked.

`archive.py` reads the file, `layer.py` makes of a configuration what has the attributes of the layer, `walker.py` follows the graph and
`masks.py` the masks. Layers that only their code describes, those of the user's own and Lambda, are refused.
"""

from onward.converters.keras.files import vocabulary
from onward.converters.keras.files.model import SavedModel

__all__ = ["SavedModel", "vocabulary"]

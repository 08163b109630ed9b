"""What is done to models as files: versions, functions, parts, names, comparison. Every tool returns a new model."""

from onward.tools.compose import add_prefix, merge, rename
from onward.tools.difference import Difference, diff
from onward.tools.extraction import extract
from onward.tools.inlining import inline
from onward.tools.versions import convert_version

__all__ = ["Difference", "add_prefix", "convert_version", "diff", "extract", "inline", "merge", "rename"]

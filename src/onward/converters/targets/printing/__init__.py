"""The tensor program as Python source, in the words of a target's array language.

`words.py` is what a target has to say, with what all languages like NumPy's share; `printer.py` writes the statements, `expressions.py`
what stands in them, `routines.py` those of routines, `module.py` the module around them; `naming.py` makes identifiers of a model's names.
"""

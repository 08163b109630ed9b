"""Operators on text. They are functions of Python: text has no machine code."""

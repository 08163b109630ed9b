"""Operators with sub-graphs. A branch or loop whose course is known before the run leaves no trace in the program."""

"""What a model is, read from what it computes: rows, sums of trees or layers, and what is made of their scores.

Graphs say the same in many ways, so little is matched by form: a part of the model is run on probes, and what it gives decides.
"""

"""Operators for data with the channels last, as TensorFlow and Keras define them. They are in no file: a converter makes them on the way."""

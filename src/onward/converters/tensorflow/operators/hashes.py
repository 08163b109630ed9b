"""Hashes of texts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.operators.ragged import counted
from onward.converters.tensorflow.registry import operator
from onward.converters.text_hashes import bucket, crossed, fingerprint, hashes, murmur_hash, sip_hash
from onward.errors import UnsupportedOperator
from onward.ir import Value


@operator("StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong")
def hash_bucket(c: Emitter, op: Any, x: Tensor) -> Value:
    method = {"StringToHashBucket": murmur_hash, "StringToHashBucketFast": fingerprint}.get(op.type) or sip_hash(op["key"])
    return c.reshape(bucket(hashes(c, c.reshape(x, [-1]), method), op["num_buckets"]), c.shape(x))


@operator("SparseCross")
def cross(c: Emitter, op: Any, *inputs: Tensor) -> list[Value]:
    """Hashes of every choice of one item from each column, as a sparse (rows, choices) tensor."""
    columns = inputs[3 * op["N"] :]
    if op["N"] or not op["hashed_output"] or any(item.rank != 2 or item.shape[1] is None for item in columns):
        raise UnsupportedOperator("columns that are sparse, that are joined as text or whose width is open")
    choices = np.array(list(itertools.product(*(range(item.shape[1] or 0) for item in columns)))).T
    texts = [item.dtype == tf.string for item in columns]
    flat = [
        c.reshape(c.op("Gather", item if text else c.cast(item, tf.int64), places, axis=1), [-1])
        for item, text, places in zip(columns, texts, choices)
    ]  # fmt: skip
    found = bucket(crossed(c, flat, op["hash_key"], texts), op["num_buckets"] or 2**63 - 1)
    width = np.array(choices.shape[1])
    rows = c.op("Shape", columns[0], end=1)
    places = c.unsqueeze(counted(c, c.op("Mul", rows, width)), 1)
    indices = c.op("Concat", c.op("Div", places, width), c.op("Mod", places, width), axis=1)
    return [indices, found, c.op("Concat", rows, width.reshape(1), axis=0)]

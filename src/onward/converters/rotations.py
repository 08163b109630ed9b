"""Jacobi's rotations: which columns meet in which round. Golub and Van Loan, Matrix Computations, section 8.5."""

from __future__ import annotations

import functools

import numpy as np

SWEEPS = 12
"""Double precision is reached after 6 to 8 for matrices of a few hundred rows; after that rotations are by zero."""


@functools.cache
def tournament(size: int) -> np.ndarray:
    """Who meets whom, so that all pairs meet once, each player once a round; (rounds, size), oneself where there is nobody."""
    if size < 2:
        return np.zeros((1, size), np.int64)
    even = size + size % 2
    ring = list(range(even))
    rounds = []
    for _ in range(even - 1):
        other = np.arange(even)
        for left, right in zip(ring[: even // 2], reversed(ring[even // 2 :])):
            other[left], other[right] = right, left
        rounds.append([place if partner >= size else partner for place, partner in enumerate(other[:size])])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return np.array(rounds)

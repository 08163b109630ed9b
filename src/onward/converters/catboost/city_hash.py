"""CityHash64 1.0, by which CatBoost knows categories. Source: Pike and Alakuijala, CityHash (2011)."""

from __future__ import annotations

MASK = (1 << 64) - 1
K0, K1, K2, K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
MULTIPLIER = 0x9DDFEA08EB382D69


def category_hash(text: str) -> int:
    """The number by which CatBoost knows a category: the lower 32 bits of the hash of its UTF-8 bytes, signed."""
    low = city_hash(text.encode()) & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def city_hash(data: bytes) -> int:
    """The hash of some bytes, unsigned 64 bits."""
    if len(data) <= 16:
        return _up_to_16(data)
    if len(data) <= 32:
        return _up_to_32(data)
    return _up_to_64(data) if len(data) <= 64 else _long(data)


def _word(data: bytes, place: int, size: int = 8) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _rotate(value: int, count: int) -> int:
    value &= MASK
    return (value >> count | value << 64 - count) & MASK


def _mix(value: int) -> int:
    value &= MASK
    return value ^ value >> 47


def _of_pair(first: int, second: int) -> int:
    """128 bits -> 64 bits."""
    first, second = first & MASK, second & MASK
    low = _mix((first ^ second) * MULTIPLIER)
    return _mix((second ^ low) * MULTIPLIER) * MULTIPLIER & MASK


def _up_to_16(data: bytes) -> int:
    size = len(data)
    if size > 8:
        last = _word(data, size - 8)
        return _of_pair(_word(data, 0), _rotate(last + size, size)) ^ last
    if size >= 4:
        return _of_pair(size + (_word(data, 0, 4) << 3), _word(data, size - 4, 4))
    if size:
        low, high = data[0] + (data[size >> 1] << 8), size + (data[-1] << 2)
        return _mix(low * K2 ^ high * K3) * K2 & MASK
    return K2


def _up_to_32(data: bytes) -> int:
    size = len(data)
    a, b = _word(data, 0) * K1, _word(data, 8)
    c, d = _word(data, size - 8) * K2, _word(data, size - 16) * K0
    return _of_pair(_rotate(a - b, 43) + _rotate(c, 30) + d, a + _rotate(b ^ K3, 20) - c + size)


def _up_to_64(data: bytes) -> int:
    size = len(data)
    first = _half(data, 0, _word(data, 0) + (size + _word(data, size - 16)) * K0, _word(data, 24))
    second = _half(data, size - 32, _word(data, 16) + _word(data, size - 32), _word(data, size - 8))
    mixed = _mix((first[0] + second[1]) * K2 + (second[0] + first[1]) * K0)
    return _mix(mixed * K0 + first[1]) * K2 & MASK


def _half(data: bytes, place: int, a: int, z: int) -> tuple[int, int]:
    b, c = _rotate(a + z, 52), _rotate(a, 37)
    a += _word(data, place + 8)
    c += _rotate(a, 7)
    a += _word(data, place + 16)
    return a + z, b + _rotate(a, 31) + c


def _long(data: bytes) -> int:
    size = len(data)
    x, y, z = _word(data, 0), _word(data, size - 16) ^ K1, _word(data, size - 56) ^ K0
    v = _weak(data, size - 64, size, y)
    w = _weak(data, size - 32, size * K1, K0)
    z += _mix(v[1]) * K1
    x, y = _rotate(z + x, 39) * K1, _rotate(y, 33) * K1
    for place in range(0, (size - 1) // 64 * 64, 64):
        x = _rotate(x + y + v[0] + _word(data, place + 16), 37) * K1 & MASK
        y = _rotate(y + v[1] + _word(data, place + 48), 42) * K1 & MASK
        x, y, z = x ^ w[1], y ^ v[0], _rotate(z ^ w[0], 33)
        v = _weak(data, place, v[1] * K1, x + w[0])
        w = _weak(data, place + 32, z + w[1], y)
        x, z = z, x
    return _of_pair(_of_pair(v[0], w[0]) + _mix(y) * K1 + z, _of_pair(v[1], w[1]) + x)


def _weak(data: bytes, place: int, a: int, b: int) -> tuple[int, int]:
    """32 bytes and two seeds -> 128 bits."""
    words = [_word(data, place + 8 * number) for number in range(4)]
    a += words[0]
    b = _rotate(b + a + words[3], 21)
    c = a
    a += words[1] + words[2]
    b += _rotate(a, 44)
    return a + words[3] & MASK, b + c & MASK

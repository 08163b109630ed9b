"""Elementary functions on vectors, as polynomials and rational forms of our own code.

Nothing here calls a library of the platform, so results are the same everywhere but for fused multiply-adds. The hot
functions (exp, log, erf, tanh, sigmoid) have float32 forms; the other float32 functions are computed in float64 and
rounded once. Approximations after S. Moshier's Cephes (double), N. Juffa (erf, float32) and MLAS (exp, float32).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from onward.compiler.builder import Builder
from onward.compiler.values import F32, F64, Type, Value

Function = Callable[[Builder, Value], Value]


def number(b: Builder, like: Value, value: float) -> Value:
    """A constant of the type of another value."""
    return b.constant(like.type, value)


def polynomial(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's scheme; the coefficient of the highest power comes first."""
    result = number(b, x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = b.fma(result, x, number(b, x, coefficient))
    return result


def _integers(like: Value) -> Type:
    return Type(f"i{like.type.bits}", like.type.lanes)


def _round(b: Builder, x: Value, scale: float) -> tuple[Value, Value]:
    """round(x * scale) as a float and as an integer, by adding a number so large that the fraction falls off.

    Harmless for NaN, unlike a conversion to integer. |x * scale| must stay below 2^22 (float32) or 2^51 (float64).
    """
    magic = 12582912.0 if x.type.bits == 32 else 6755399441055744.0
    shift = number(b, x, magic)
    shifted = b.fma(x, number(b, x, scale), shift)
    integers = _integers(x)
    count = b.bitcast(shifted, integers) - b.bitcast(shift, integers)
    return shifted - shift, count


def _power_of_two(b: Builder, exponent: Value, like: Value) -> Value:
    """2^exponent for integers in the normal range of the type."""
    mantissa, bias = (23, 127) if like.type.bits == 32 else (52, 1023)
    bits = (exponent + b.constant(exponent.type, bias)) << b.constant(exponent.type, mantissa)
    return b.bitcast(bits, like.type)


def _scale(b: Builder, x: Value, exponent: Value) -> Value:
    """x * 2^exponent in two steps, so that results may overflow or lose bits gradually."""
    half = exponent >> b.constant(exponent.type, 1)
    return x * _power_of_two(b, half, x) * _power_of_two(b, exponent - half, x)


def _at_most(b: Builder, x: Value, limit: float) -> Value:
    """The less of x and the limit; NaN stays."""
    return b.select(x > number(b, x, limit), number(b, x, limit), x)


def exp(b: Builder, x: Value) -> Value:
    """e^x.

    Where it is 0, as for masked scores, e^0 is made in its place: a product that loses all its bits takes Intel's processors
    some 150 cycles (causal attention of 1024 tokens took 61 ms instead of 36).
    """
    zero = number(b, x, 0.0)
    nothing = x < number(b, x, -104.5 if x.type.bits == 32 else -746.0)
    return b.select(nothing, zero, _exp(b, b.select(nothing, zero, x)))


def _exp(b: Builder, x: Value) -> Value:
    if x.type.bits == 32:
        x = _at_most(b, x, 89.0)
        n, count = _round(b, x, 1.44269504088896341)
        r = b.fma(n, number(b, x, -6.93145752e-1), x)
        r = b.fma(n, number(b, x, -1.42860677e-6), r)
        p = polynomial(b, r, [float.fromhex(c) for c in (
            "0x1.694000p-10", "0x1.125edcp-7", "0x1.555b5ap-5", "0x1.555450p-3", "0x1.fffff6p-2", "0x1p0", "0x1p0",
        )])  # fmt: skip
        return _scale(b, p, count)
    x = _at_most(b, x, 710.5)
    n, count = _round(b, x, 1.4426950408889634074)
    r = b.fma(n, number(b, x, -6.93145751953125e-1), x)
    r = b.fma(n, number(b, x, -1.42860682030941723212e-6), r)
    square = r * r
    p = r * polynomial(b, square, [1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1])
    q = polynomial(b, square, [3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0])
    return _scale(b, b.fma(number(b, x, 2.0), p / (q - p), number(b, x, 1.0)), count)


def log(b: Builder, x: Value) -> Value:
    """Natural logarithm: -infinity at 0, NaN below."""
    single = x.type.bits == 32
    mantissa, bias, tiny = (23, 127, 2.0**-126) if single else (52, 1023, 2.0**-1022)
    lift = 23 if single else 52
    small = x < number(b, x, tiny)
    scaled = b.select(small, x * number(b, x, 2.0**lift), x)
    integers = _integers(x)
    bits = b.bitcast(scaled, integers)
    root = b.bitcast(number(b, x, math.sqrt(0.5)), integers)
    one = b.bitcast(number(b, x, 1.0), integers)
    shifted = bits - root
    exponent = shifted >> b.constant(integers, mantissa)
    fraction = b.bitcast((shifted & b.constant(integers, (1 << mantissa) - 1)) + root, x.type)
    e = b.cast(exponent, x.type) - b.select(small, number(b, x, float(lift)), number(b, x, 0.0))
    f = fraction - number(b, x, 1.0)
    square = f * f
    if single:
        p = polynomial(b, f, [
            7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
            2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
        ])  # fmt: skip
        y = f * square * p
    else:
        p = polynomial(b, f, [
            1.01875663804580931796e-4, 4.97494994976747001425e-1, 4.70579119878881725854, 1.44989225341610930846e1,
            1.79368678507819816313e1, 7.70838733755885391666,
        ])  # fmt: skip
        q = polynomial(b, f, [
            1.0, 1.12873587189167450590e1, 4.52279145837532221105e1, 8.29875266912776603211e1, 7.11544750618563894466e1,
            2.31251620126765340583e1,
        ])  # fmt: skip
        y = f * (square * p / q)
    y = b.fma(e, number(b, x, -2.121944400546905827679e-4), y)
    y = b.fma(number(b, x, -0.5), square, y)
    result = b.fma(e, number(b, x, 0.693359375), f + y)
    del bias, one
    zero, infinity = number(b, x, 0.0), number(b, x, math.inf)
    result = b.select(x == infinity, infinity, result)
    result = b.select(x == zero, number(b, x, -math.inf), result)
    return b.select(b.bitwise_or(x < zero, b.unordered(x, x)), number(b, x, math.nan), result)


def erf(b: Builder, x: Value) -> Value:
    """Error function."""
    magnitude = b.absolute(x)
    if x.type.bits == 32:
        square = x * x
        near = polynomial(b, square, [
            -5.99104969e-4, 4.99339588e-3, -2.67667342e-2, 1.12818025e-1, -3.76124859e-1, 1.28379151e-1,
        ])  # fmt: skip
        near = b.fma(near, x, x)
        limit = number(b, x, 3.925)
        a = b.select(magnitude > limit, limit, magnitude)
        far = polynomial(b, a, [
            1.72948930e-5, -3.83208680e-4, 3.88393435e-3, -2.42545605e-2, 1.06777847e-1, 6.34846687e-1, 1.28717512e-1,
        ])  # fmt: skip
        far = b.fma(far, a, a)
        far = number(b, x, 1.0) - exp(b, -far)
        return b.select(magnitude < number(b, x, 0.921875), near, b.copysign(far, x))
    square = x * x
    near = x * polynomial(b, square, [
        9.60497373987051638749, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
        5.55923013010394962768e4,
    ]) / polynomial(b, square, [
        1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4,
        4.92673942608635921086e4,
    ])  # fmt: skip
    limit = number(b, x, 6.5)
    a = b.select(magnitude > limit, limit, magnitude)
    tail = exp(b, -(a * a)) * polynomial(b, a, [
        2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687, 4.86371970985681366614e1,
        1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
        5.57535335369399327526e2,
    ]) / polynomial(b, a, [
        1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
        1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2,
    ])  # fmt: skip
    far = b.copysign(number(b, x, 1.0) - tail, x)
    return b.select(magnitude < number(b, x, 1.0), near, b.select(b.unordered(x, x), x, far))


def tanh(b: Builder, x: Value) -> Value:
    """Hyperbolic tangent."""
    magnitude = b.absolute(x)
    square = x * x
    if x.type.bits == 32:
        p = polynomial(b, square, [
            -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
        ])  # fmt: skip
    else:
        p = polynomial(b, square, [
            -9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3,
        ]) / polynomial(b, square, [
            1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3,
        ])  # fmt: skip
    near = b.fma(x * square, p, x)
    one, two = number(b, x, 1.0), number(b, x, 2.0)
    far = b.copysign(one - two / (exp(b, magnitude + magnitude) + one), x)
    return b.select(magnitude < number(b, x, 0.625), near, far)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e^-x), accurate in both tails."""
    one = number(b, x, 1.0)
    small = exp(b, -b.absolute(x))
    ratio = one / (one + small)
    return b.select(x < number(b, x, 0.0), small * ratio, ratio)


def _quadrant(b: Builder, x: Value) -> tuple[Value, Value]:
    """x minus a multiple of pi/2, and that multiple. Accurate for |x| below about 2^30."""
    n, count = _round(b, x, 2.0 / math.pi)
    r = b.fma(n, number(b, x, -2 * 7.85398125648498535156e-1), x)
    r = b.fma(n, number(b, x, -2 * 3.77489470793079817668e-8), r)
    return b.fma(n, number(b, x, -2 * 2.69515142907905952645e-15), r), count


def _sine_and_cosine(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    r, count = _quadrant(b, x)
    square = r * r
    sine = polynomial(b, square, [
        1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6, -1.98412698295895385996e-4,
        8.33333333332211858878e-3, -1.66666666666666307295e-1,
    ])  # fmt: skip
    cosine = polynomial(b, square, [
        -1.13585365213876817300e-11, 2.08757008419747316778e-9, -2.75573141792967388112e-7, 2.48015872888517045348e-5,
        -1.38888888888730564116e-3, 4.16666666666665929218e-2,
    ])  # fmt: skip
    one = number(b, x, 1.0)
    return (
        b.fma(r * square, sine, r),
        b.fma(square * square, cosine, b.fma(number(b, x, -0.5), square, one)),
        count,
    )


def _turned(b: Builder, x: Value, quarter: int) -> Value:
    sine, cosine, count = _sine_and_cosine(b, x)
    count = count + b.constant(count.type, quarter)
    one, two, zero = (b.constant(count.type, value) for value in (1, 2, 0))
    value = b.select((count & one) != zero, cosine, sine)
    value = b.select((count & two) != zero, -value, value)
    return b.select(b.absolute(x) == number(b, x, math.inf), number(b, x, math.nan), value)


def sin(b: Builder, x: Value) -> Value:
    """Sine."""
    return _turned(b, x, 0)


def cos(b: Builder, x: Value) -> Value:
    """Cosine."""
    return _turned(b, x, 1)


def tan(b: Builder, x: Value) -> Value:
    """Tangent."""
    return sin(b, x) / cos(b, x)


def atan(b: Builder, x: Value) -> Value:
    """Arc tangent."""
    a = b.absolute(x)
    one = number(b, x, 1.0)
    large, middle = a > number(b, x, 2.41421356237309504880), a > number(b, x, 0.66)
    reduced = b.select(large, -(one / a), b.select(middle, (a - one) / (a + one), a))
    zero = number(b, x, 0.0)
    base = b.select(large, number(b, x, math.pi / 2), b.select(middle, number(b, x, math.pi / 4), zero))
    more = b.select(large, number(b, x, 6.123233995736765886e-17), b.select(middle, number(b, x, 3.061616997868382943e-17), zero))
    square = reduced * reduced
    ratio = polynomial(b, square, [
        -8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1, -1.228866684490136173410e2,
        -6.485021904942025371773e1,
    ]) / polynomial(b, square, [
        1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2, 4.853903996359136964868e2,
        1.945506571482613964425e2,
    ])  # fmt: skip
    return b.copysign(base + (b.fma(reduced * square, ratio, reduced) + more), x)


def asin(b: Builder, x: Value) -> Value:
    """Arc sine; NaN outside [-1, 1]."""
    one = number(b, x, 1.0)
    return atan(b, x / b.sqrt((one - x) * (one + x)))


def acos(b: Builder, x: Value) -> Value:
    """Arc cosine; NaN outside [-1, 1]."""
    one = number(b, x, 1.0)
    return number(b, x, 2.0) * atan(b, b.sqrt((one - x) / (one + x)))


def _series(b: Builder, x: Value, first: int, step: int, count: int) -> Value:
    """The sum of x^(step*k) / (first + step*k)! for k below count."""
    return polynomial(b, x, [1.0 / math.factorial(first + step * k) for k in reversed(range(count))])


def expm1(b: Builder, x: Value) -> Value:
    """e^x - 1, accurate near 0."""
    near = x * _series(b, x, 1, 1, 16)
    return b.select(b.absolute(x) < number(b, x, 0.7), near, exp(b, x) - number(b, x, 1.0))


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x), accurate near 0."""
    one = number(b, x, 1.0)
    u = one + x
    corrected = log(b, u) + (x - (u - one)) / u
    plain = b.bitwise_or(u == number(b, x, math.inf), u == number(b, x, 0.0))
    return b.select(x == number(b, x, 0.0), x, b.select(plain, log(b, u), corrected))


def _half_exp(b: Builder, x: Value) -> Value:
    """e^x / 2, which overflows later than e^x."""
    root = exp(b, x * number(b, x, 0.5))
    return root * (root * number(b, x, 0.5))


def sinh(b: Builder, x: Value) -> Value:
    """Hyperbolic sine."""
    a = b.absolute(x)
    near = x * _series(b, x * x, 1, 2, 10)
    half = _half_exp(b, a)
    far = b.copysign(half - number(b, x, 0.25) / half, x)
    return b.select(a < number(b, x, 1.0), near, far)


def cosh(b: Builder, x: Value) -> Value:
    """Hyperbolic cosine."""
    half = _half_exp(b, b.absolute(x))
    return half + number(b, x, 0.25) / half


def asinh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic sine."""
    a = b.absolute(x)
    one = number(b, x, 1.0)
    huge = a > number(b, x, 1e150)
    safe = b.select(huge, one, a)
    near = log1p(b, safe + safe * safe / (one + b.sqrt(b.fma(safe, safe, one))))
    far = log(b, a) + number(b, x, math.log(2.0))
    return b.copysign(b.select(huge, far, near), x)


def acosh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic cosine; NaN below 1."""
    one = number(b, x, 1.0)
    huge = x > number(b, x, 1e150)
    t = b.select(huge, one, x) - one
    near = log1p(b, t + b.sqrt(t * (t + number(b, x, 2.0))))
    return b.select(huge, log(b, x) + number(b, x, math.log(2.0)), near)


def atanh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic tangent; NaN outside [-1, 1]."""
    a = b.absolute(x)
    one = number(b, x, 1.0)
    return b.copysign(number(b, x, 0.5) * log1p(b, (a + a) / (one - a)), x)


def power(b: Builder, x: Value, y: Value) -> Value:
    """x^y with the special cases of IEEE 754 pow. Relative error grows with |y log x|, to about 1e-13 at the ends."""
    one, zero, infinity = number(b, x, 1.0), number(b, x, 0.0), number(b, x, math.inf)
    magnitude = b.absolute(x)
    value = exp(b, y * log(b, magnitude))
    whole = b.floor(y) == y
    half = y * number(b, x, 0.5)
    odd = b.bitwise_and(whole, b.floor(half) != half)
    negative = b.bitcast(x, _integers(x)) < b.constant(_integers(x), 0)
    value = b.select(b.bitwise_and(negative, odd), -value, value)
    undefined = b.bitwise_and(x < zero, b.bitwise_and(b.invert(whole), magnitude != infinity))
    value = b.select(b.bitwise_and(undefined, b.absolute(y) != infinity), number(b, x, math.nan), value)
    unit = b.bitwise_and(magnitude == one, b.absolute(y) == infinity)
    always = b.bitwise_or(b.bitwise_or(x == one, y == zero), unit)
    return b.select(always, one, value)


HOT: dict[str, Function] = {"exp": exp, "log": log, "erf": erf, "tanh": tanh, "sigmoid": sigmoid}
"""Functions with a float32 form of their own."""

WIDE: dict[str, Function] = {
    "sin": sin, "cos": cos, "tan": tan, "asin": asin, "acos": acos, "atan": atan, "sinh": sinh, "cosh": cosh,
    "asinh": asinh, "acosh": acosh, "atanh": atanh, "expm1": expm1, "log1p": log1p,
}  # fmt: skip
"""Functions that float32 values take by way of float64."""


def emit_function(b: Builder, name: str, arguments: Sequence[Value]) -> Value:
    """A named function of float32 or float64 values."""
    x = arguments[0]
    if name in HOT:
        return HOT[name](b, x)
    widened = [b.cast(argument, F64) for argument in arguments]
    result = power(b, *widened) if name == "power" else WIDE[name](b, widened[0])
    return b.cast(result, F32) if x.type.bits == 32 else result

"""Eight lanes: every instruction does in machine code what its Python function does, and touches nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from dadapt_convex.lanes import (
    LANES,
    exponent,
    load,
    load_first,
    power_of_2,
    rint,
    splat,
    store,
    store_first,
    transposed,
    where_equal,
    where_greater,
)
from dadapt_convex.oracle import FASTMATH, Instruction, Kernel, fingerprint

U = np.array([0.0, -0.0, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan])
V = np.array([0.0, 1.0, 1.5, -3.0, np.nan, np.inf, 2.0, 1.0])


def signature():
    from numba import types as t

    vector = t.Array(t.float64, 1, "C")
    return t.void(t.Array(t.float64, 2, "C", readonly=True), vector, t.int64, t.float64)


def both(function, a, n=0, s=0.0, size=64):
    """What the compiled and the plain function write to an array of NaN."""
    outputs = np.full(size, np.nan), np.full(size, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        Kernel(function, signature, FASTMATH)(a, outputs[0], n, s)
        function(a, outputs[1], n, s)
    return outputs


def _moves(a, out, n, s):
    store(out, 0, load(a, 3))
    store(out, 8, load_first(a, 5, n))
    store_first(out, 16, n, load(a, 0))
    store(out, 40, splat(s))


@pytest.mark.parametrize("n", range(LANES + 1))
def test_loads_and_stores_take_so_many_entries(n):
    a = np.arange(1.0, 33.0).reshape(4, 8)
    a.setflags(write=False)
    compiled, plain = both(_moves, a, n, 7.5)
    assert np.array_equal(compiled, plain, equal_nan=True)
    assert np.array_equal(compiled[:8], np.arange(4.0, 12.0))
    assert np.array_equal(compiled[8:16], [*np.arange(6.0, 6 + n), *np.zeros(8 - n)])
    assert np.array_equal(compiled[16 : 16 + n], np.arange(1.0, 1 + n))
    assert np.isnan(compiled[16 + n : 40]).all()
    assert np.all(compiled[40:48] == 7.5)


def _first_of_the_last(a, out, n, s):
    store(out, 0, load_first(a, a.size - n, n))
    store_first(out, out.size - n, n, splat(s))


@pytest.mark.parametrize("n", range(LANES + 1))
def test_the_first_lanes_alone_are_touched_at_the_end_of_an_array(n):
    """The last page of memory would show it by chance only; here the neighbours in the same block do."""
    block = np.arange(100.0)
    block[40:] = np.nan  # what lies behind the array: read, it would be seen
    compiled, _ = both(_first_of_the_last, block[:40].reshape(5, 8), n, 1.0)
    assert np.array_equal(compiled[:8], [*np.arange(40.0 - n, 40.0), *np.zeros(8 - n)])
    behind = np.zeros(32)
    Kernel(_first_of_the_last, signature, FASTMATH)(np.ones((1, 8)), behind[:20], n, 1.0)
    assert np.all(behind[20:] == 0.0)


def _arithmetic(a, out, n, s):
    u, v = load(a, 0), load(a, 8)
    store(out, 0, u + v)
    store(out, 8, u - v)
    store(out, 16, u * v)
    store(out, 24, u / v)
    store(out, 32, s * u + n)
    store(out, 40, where_greater(u, v, u, -1))
    store(out, 48, where_equal(u, v, v, s))
    store(out, 56, 1.0 / v)


def test_arithmetic_and_selection_on_numbers_that_are_none():
    """Bit for bit; NaN is greater than nothing and equal to nothing; numbers become lanes."""
    compiled, plain = both(_arithmetic, np.array([U, V]), 3, 0.25)
    assert np.array_equal(compiled, plain, equal_nan=True)
    assert np.array_equal(compiled[40:48], [-1, -1, -1, 2.5, -1, -1, -1, -1])
    assert np.array_equal(compiled[48:56], [0, 0.25, 1.5, 0.25, 0.25, np.inf, 0.25, 0.25])


def _bits(a, out, n, s):
    store(out, 0, rint(load(a, 0)))
    store(out, 8, power_of_2(load(a, 8)))
    store(out, 16, exponent(load(a, 16)))


def test_rounding_and_powers_of_two():
    integers = [-1022.0, -1.0, 0.0, 1.0, 52.0, 1023.0, np.nan, -3.0]
    normal = [1.0, np.nextafter(1, 0), 2.0, 2.0**-1022, np.nextafter(8, 0), 3.5, 1e300, 2.0**1023]
    compiled, plain = both(_bits, np.array([[0.5, 1.5, -0.5, -2.5, 2.4999, 1e17, -7.6, 0.0], integers, normal]))
    assert np.array_equal(compiled, plain, equal_nan=True)
    assert np.array_equal(compiled[:8], [0, 2, 0, -2, 2, 1e17, -8, 0])
    assert np.array_equal(compiled[8:16], [2.0**-1022, 0.5, 1, 2, 2.0**52, 2.0**1023, 1, 0.125])
    assert np.array_equal(compiled[16:24], [0, -1, 1, -1022, 2, 1, 996, 1023])


def _transpose(a, out, n, s):
    u = transposed(
        load(a, 0), load(a, 8), load(a, 16), load(a, 24), load(a, 32), load(a, 40), load(a, 48), load(a, 56)
    )  # fmt: skip
    for k in range(LANES):
        store(out, LANES * k, u[k])


def test_transposed():
    a = np.arange(64.0).reshape(8, 8)
    compiled, plain = both(_transpose, a)
    assert np.array_equal(compiled.reshape(8, 8), a.T)
    assert np.array_equal(compiled, plain)


def test_cached_machine_code_follows_the_instructions(tmp_path, monkeypatch):
    """Their code is in a file that no kernel names."""
    monkeypatch.syspath_prepend(tmp_path)

    def kernel_with(code):
        (tmp_path / f"code_{len(code)}.py").write_text(code)
        twice = Instruction(lambda u: u + u, f"code_{len(code)}")
        return Kernel(lambda u: twice(u), signature, FASTMATH)

    assert fingerprint(kernel_with("")) == fingerprint(kernel_with(""))
    assert fingerprint(kernel_with("")) != fingerprint(kernel_with("changed = True"))

"""Mini-batches: kernels against NumPy for every loss, storage and size; what the compiled loop visits and records.

Tolerances: a sum of n products is off by at most n eps times the sum of their magnitudes. Entries here are about 1,
sums have at most 100 terms, and exp makes the error of a margin relative: ROUNDING = 1e-13 is twice that.
"""

from __future__ import annotations

import importlib
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex import run as statuses
from dadapt_convex import stochastic_driver as driver
from dadapt_convex import stochastic_recorder as recorder
from dadapt_convex.oracle import pack
from dadapt_convex.stochastic_recorder import Evaluation, Orders, aligned
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import losses

solve_module = importlib.import_module("dadapt_convex.solve")  # dc.solve is the function
ROUNDING = 1e-13
TAU, EPSILON, DELTA, L2, M = 0.9, 0.4, 1.5, 0.37, 61
OWN = {"quantile": {"tau": TAU}, "svr": {"epsilon": EPSILON}, "huber": {"delta": DELTA}}
SIZES = (1, 3, 16, 17, M)
STORAGE = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])


def logistic(z, b):
    u = b * z
    return np.logaddexp(0, -u), -b * np.exp(-np.logaddexp(0, u)), u > 0


def hinge(z, b):
    return np.maximum(0, 1 - b * z), np.where(b * z < 1, -b, 0.0), b * z > 0


def lad(z, b):
    return np.abs(z - b), np.sign(z - b), b * z > 0


def quantile(z, b):
    r = b - z
    return np.maximum(TAU * r, (TAU - 1) * r), np.where(r > 0, -TAU, np.where(r < 0, 1 - TAU, 0.0)), b * z > 0


def svr(z, b):
    r = z - b
    return np.maximum(0, np.abs(r) - EPSILON), np.where(np.abs(r) > EPSILON, np.sign(r), 0.0), b * z > 0


def huber(z, b):
    return scipy.special.huber(DELTA, z - b), np.clip(z - b, -DELTA, DELTA), b * z > 0


def multinomial(z, b):
    chosen = np.eye(z.shape[1])[b.astype(int)]
    values = scipy.special.logsumexp(z, axis=1) - np.sum(z * chosen, axis=1)
    return values, scipy.special.softmax(z, axis=1) - chosen, np.argmax(z, axis=1) == b


FORMULAS = {
    "logistic": logistic, "hinge": hinge, "lad": lad, "quantile": quantile, "svr": svr, "huber": huber,
    "multinomial": multinomial,
}  # fmt: skip


def make(loss, sparse, classes=2, p=7, m=M, l2=0.0, seed=0):
    """Half of the entries are zero, and the first row is empty; every class occurs."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, p)) * (rng.random((m, p)) < 0.5)
    A[0] = 0.0
    y = rng.permutation(np.arange(m) % classes)
    b = {"multiclass": y, "binary": 2.0 * y - 1, "regression": rng.standard_normal(m)}[losses()[loss].task]
    matrix = scipy.sparse.csr_array(A) if sparse else A
    return linear_problem(losses()[loss], matrix, b, intercept=False, l2=l2, **OWN.get(loss, {})), A


def by_numpy(loss, problem, A, x, rows):
    """f, g and the number of rows predicted right, written down from the formula."""
    l2, b, classes = problem.model.l2, problem.model.b[rows], problem.model.classes
    values, slopes, right = FORMULAS[loss](A[rows] @ (x.reshape(-1, classes) if classes else x), b)
    g = (A[rows].T @ slopes).ravel() / len(rows) + l2 * x
    return values.mean() + l2 / 2 * (x @ x), g, right.sum()


def batch(problem, x, order, begin, end, gradient=True, kernel=None):
    """f, g and the count of the compiled kernel, or of the one given.

    Outputs hold NaN before, and what lies beyond them is untouched.
    """
    size = problem.oracle.work(end - begin)
    work, g = aligned(size + 8), np.full(problem.p + 8, np.nan)
    work[:size], work[size:] = np.nan, 5.0
    f = (kernel or problem.oracle.batch)(
        x, g[: problem.p] if gradient else g[:0], problem.oracle.data, order, begin, end, work[:size]
    )
    assert np.all(work[size:] == 5.0)
    assert np.isnan(g[problem.p if gradient else 0 :]).all()
    return f, g[: problem.p], work[0]


# ---------------------------------------------------------------------------------------------------------
# Kernels


@STORAGE
@pytest.mark.parametrize("l2", [0.0, L2])
@pytest.mark.parametrize("loss", sorted(FORMULAS))
def test_a_batch_equals_the_formula(loss, l2, sparse):
    assert set(FORMULAS) == set(losses())
    rng = np.random.default_rng(1)
    for p in (1, 7, 8, 9, 33):
        problem, A = make(loss, sparse, classes=3 if loss == "multinomial" else 2, p=p, l2=l2)
        order, x = rng.permutation(M), rng.standard_normal(problem.p)
        for size in SIZES:
            begin = (M - size) // 2
            f, g, count = batch(problem, x, order, begin, begin + size)
            expected, gradient, right = by_numpy(loss, problem, A, x, order[begin : begin + size])
            assert f == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)
            assert g == pytest.approx(gradient, rel=0, abs=ROUNDING)
            assert count == right
            assert batch(problem, x, order, begin, begin + size, gradient=False)[0] == f


@STORAGE
@pytest.mark.parametrize("classes", one_in(3, [*range(2, 31), 33, 40]))
def test_a_batch_of_any_number_of_classes(classes, sparse):
    """Tiles of four classes and vectors of eight leave every remainder; above 32, CSR rows are added up in memory."""
    rng = np.random.default_rng(2)
    problem, A = make("multinomial", sparse, classes=classes, p=10, l2=L2 if classes % 2 else 0.0)
    order, x = rng.permutation(M), rng.standard_normal(problem.p)
    for size in SIZES:
        f, g, count = batch(problem, x, order, M - size, M)
        expected, gradient, right = by_numpy("multinomial", problem, A, x, order[M - size :])
        assert f == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)
        assert g == pytest.approx(gradient, rel=0, abs=ROUNDING)
        assert count == right


@STORAGE
@pytest.mark.parametrize("loss", sorted(FORMULAS))
def test_all_rows_in_their_order_are_the_oracle_bit_for_bit(loss, sparse):
    problem, _ = make(loss, sparse, classes=5 if loss == "multinomial" else 2, l2=L2)
    x = np.random.default_rng(3).standard_normal(problem.p)
    for order in (np.zeros(0, dtype=np.int64), np.arange(M)):
        f, g, _ = batch(problem, x, order, 0, M)
        assert f == problem.value(x)
        assert np.array_equal(g, problem.subgradient(x))


@STORAGE
@pytest.mark.parametrize("loss", sorted(FORMULAS))
def test_compiled_batches_equal_their_python_functions(loss, sparse):
    problem, _ = make(loss, sparse, classes=11 if loss == "multinomial" else 2, p=9, l2=L2)
    order, x = np.random.default_rng(4).permutation(M), np.random.default_rng(5).standard_normal(problem.p)
    f, g, count = batch(problem, x, order, 10, 27)
    f_python, g_python, count_python = batch(problem, x, order, 10, 27, kernel=problem.oracle.batch.python)
    assert f == pytest.approx(f_python, rel=ROUNDING, abs=0)
    assert g == pytest.approx(g_python, rel=0, abs=ROUNDING)
    assert count == count_python


@STORAGE
@pytest.mark.parametrize("loss", sorted(FORMULAS))
def test_a_batch_does_not_depend_on_where_arrays_lie(loss, sparse):
    problem, _ = make(loss, sparse, classes=7 if loss == "multinomial" else 2, p=9)
    order, found = np.random.default_rng(6).permutation(M), []
    for shift in range(8):
        x, g = np.zeros(problem.p + shift)[shift:], np.zeros(problem.p + shift)[shift:]
        work = np.full(problem.oracle.work(17) + shift, np.nan)[shift:]
        x[:] = np.sin(np.arange(problem.p))
        found.append([problem.oracle.batch(x, g, problem.oracle.data, order, 3, 20, work), *g])
    assert all(np.array_equal(found[0], other) for other in found[1:])


@STORAGE
@pytest.mark.parametrize("loss", sorted(FORMULAS))
def test_what_is_not_finite_shows_in_f(loss, sparse):
    """Also where it belongs to the last row of a batch, whose copies fill the block."""
    problem, A = make(loss, sparse, classes=4 if loss == "multinomial" else 2, p=3)
    row = int(np.argmax(np.abs(A).min(axis=1)))  # no zero in it
    order = np.array([0, 0, row])
    for value in (np.nan, np.inf, -np.inf):
        x = np.ones(problem.p)
        x[-problem.p // 3 :] = value  # the last row of W, or one of three unknowns
        f, g, _ = batch(problem, x, order, 2, 3)
        if math.isnan(value):
            assert math.isnan(f)
        assert loss == "logistic" or math.isnan(f) or f in (0.0, math.inf)
    f, g, _ = batch(problem, 3e305 * np.ones(problem.p), np.array([row, 0]), 0, 2)
    assert not math.isnan(f)
    assert np.isfinite(g).all()


def test_equal_margins_predict_the_first_class():
    """As numpy.argmax does; no x is better than chance at 0."""
    problem, _ = make("multinomial", False, classes=4)
    count = batch(problem, np.zeros(problem.p), np.arange(M), 0, M)[2]
    assert count == np.sum(problem.model.b == 0)


@STORAGE
@pytest.mark.parametrize("loss", sorted(FORMULAS))
def test_an_evaluation_takes_all_rows_of_long_data(loss, sparse):
    """More rows than are evaluated at once; each point by itself gives the same bits."""
    problem, A = make(loss, sparse, classes=3 if loss == "multinomial" else 2, m=601, l2=L2)
    X = np.random.default_rng(7).standard_normal((3, problem.p))
    f, shares = Evaluation(problem)(X)
    for i, x in enumerate(X):
        expected, _, right = by_numpy(loss, problem, A, x, np.arange(601))
        assert f[i] == pytest.approx(expected, rel=601 * np.finfo(float).eps, abs=0)
        assert Evaluation(problem)(X[i : i + 1])[0] == f[i]
        if losses()[loss].task == "regression":
            assert shares is None
        else:
            assert shares[i] == right / 601


# ---------------------------------------------------------------------------------------------------------
# Orders


def orders(m, seed, epochs, at_once):
    """Epoch after epoch, drawn so many at once."""
    made = Orders(m, seed)
    found = []
    for epoch in range(epochs):
        made.reach(epoch, min(epochs, epoch + at_once) - 1)
        rows = made.rows[(epoch - made.begin) * m :][:m]
        found.append(rows.copy())
    return np.array(found)


@pytest.mark.parametrize("m", [1, 2, 3, 50, 301])
def test_every_epoch_takes_every_row_once_whatever_is_drawn_at_once(m, monkeypatch):
    found = orders(m, 0, 12, 12)
    assert np.array_equal(np.sort(found, axis=1), np.tile(np.arange(m), (12, 1)))
    for at_once in (1, 5):
        assert np.array_equal(orders(m, 0, 12, at_once), found)
    monkeypatch.setattr(recorder, "DRAWN_AT_ONCE", 1)
    assert np.array_equal(orders(m, 0, 12, 12), found)
    assert m < 10 or not np.array_equal(orders(m, 1, 12, 12), found)
    assert m < 10 or not np.array_equal(found[0], found[1])


def test_all_orders_of_four_rows_are_as_likely():
    """24 orders, 24000 draws: the squared deviations over 1000 add up to 23 on average, to 60 once in 30000 times."""
    counts = np.zeros((4, 4, 4, 4))
    np.add.at(counts, tuple(orders(4, 3, 24_000, 24_000).T), 1)
    seen = np.array([counts[order] for order in itertools.permutations(range(4))])
    assert seen.sum() == 24_000
    assert np.sum((seen - 1000) ** 2) / 1000 < 60


# ---------------------------------------------------------------------------------------------------------
# The loop

RATE = 0.05


def sgd_by_numpy(loss, problem, A, size, epochs, seed):
    """x after every step, and the f of every batch."""
    x, rows = np.array(problem.x0), orders(len(A), seed, epochs, epochs)
    xs, fs = [], []
    for epoch, begin in itertools.product(range(epochs), range(0, len(A), size)):
        f, g, _ = by_numpy(loss, problem, A, x, rows[epoch, begin : begin + size])
        x = x - RATE * g
        xs.append(x)
        fs.append(f)
    return np.array(xs), np.array(fs)


def sgd(problem, size=16, epochs=3, seed=5, **options):
    return dc.solve(problem, "sgd", epochs=epochs, batch_size=size, seed=seed, lr=RATE, momentum=0.0, **options)


@STORAGE
@pytest.mark.parametrize("size", [1, 16, 60, M])
@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_the_loop_equals_one_in_numpy(loss, size, sparse):
    """Smooth losses: 183 steps of rounding do not grow. What a row of the trace says is checked against its x."""
    problem, A = make(loss, sparse, classes=3 if loss == "multinomial" else 2, l2=L2)
    per_epoch = -(-M // size)
    xs, fs = sgd_by_numpy(loss, problem, A, size, 3, 5)
    run = sgd(problem, size)
    assert run.trace["k"].tolist() == [per_epoch, 2 * per_epoch, 3 * per_epoch]
    assert run.trace["epoch"].tolist() == [1, 2, 3]
    assert run.x == pytest.approx(xs[-1], rel=0, abs=ROUNDING)
    for row, after in zip(run.rows, range(per_epoch, 3 * per_epoch + 1, per_epoch), strict=True):
        x = xs[after - 1]
        f, _, right = by_numpy(loss, problem, A, x, np.arange(M))
        assert row["f"] == pytest.approx(f, rel=ROUNDING)
        assert row["accuracy"] == right / M
        assert row["f_batch"] == pytest.approx(fs[after - per_epoch : after].mean(), rel=ROUNDING)
        assert row["x_dist"] == pytest.approx(np.linalg.norm(x - problem.x0), rel=ROUNDING)
    assert run.trace["f_best"].tolist() == np.minimum.accumulate(run.trace["f"]).tolist()
    assert problem.value(run.x_best) == pytest.approx(run.trace["f_best"].iloc[-1], rel=ROUNDING)


METHODS = {"dadapt_adam": {}, "dadapt_sgd": {}, "dadapt_dual_averaging": {}, "adagrad_norm": {"eta": 1.0}}
TIMES = ("seconds",)


def rows_of(run, *leave_out):
    return [{name: v for name, v in row.items() if name not in (*TIMES, *leave_out)} for row in run.rows]


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of a few steps, orders of an epoch, room for three snapshots."""

    def choose():
        monkeypatch.setattr(solve_module, "first_pace", lambda *_: 7)
        monkeypatch.setattr(solve_module, "CHUNK_SECONDS", 0.0)
        monkeypatch.setattr(recorder, "DRAWN_AT_ONCE", 1)
        monkeypatch.setattr(driver, "KEPT", 3)

    return choose


@STORAGE
@pytest.mark.parametrize("method", METHODS)
def test_the_same_bits_whatever_the_checkpoints_and_chunks(method, sparse, small_chunks):
    problem, _ = make("multinomial", sparse, classes=3)
    options = {"epochs": 9, "batch_size": 8, "seed": 3, "schedule": "stagewise(4 7)", **METHODS[method]}
    per_epoch = -(-M // 8)
    whole = dc.solve(problem, method, **options)
    every = dc.solve(problem, method, checkpoints="all", **options)
    last = dc.solve(problem, method, checkpoints=[9 * per_epoch], **options)
    small_chunks()
    pieces = dc.solve(problem, method, **options)
    for other in (every, last, pieces):
        assert np.array_equal(other.x, whole.x)
        assert np.array_equal(other.x_avg, whole.x_avg)
    assert len(whole.rows) == 9
    assert rows_of(pieces) == rows_of(whole)
    # f_batch is a mean since the row before, f_best over the rows
    among = [row for row in rows_of(every, "f_batch", "f_best") if row["k"] % per_epoch == 0]
    assert among == rows_of(whole, "f_batch", "f_best")


def test_a_row_is_what_a_run_of_that_length_ends_with():
    problem, _ = make("logistic", False)
    options = {"batch_size": 8, "seed": 1}
    long = dc.solve(problem, "dadapt_adam", steps=100, checkpoints=[1, 37, 100], **options)
    for row in long.rows:
        short = dc.solve(problem, "dadapt_adam", steps=row["k"], checkpoints=[row["k"]], **options)
        assert rows_of(short, "f_batch", "f_best") == [
            {name: v for name, v in row.items() if name not in (*TIMES, "f_batch", "f_best")}
        ]
        assert short.rows[0]["f"] == pytest.approx(problem.value(short.x), rel=ROUNDING)
    assert [row["seconds"] for row in long.rows] == sorted(row["seconds"] for row in long.rows)
    assert long.rows[-1]["seconds"] == long.seconds


def test_f_avg_is_f_at_the_average():
    problem, _ = make("logistic", False)
    run = dc.solve(problem, "dadapt_dual_averaging", epochs=5, batch_size=8, d0=0.1)
    assert run.trace["f_avg"].iloc[-1] == pytest.approx(problem.value(run.x_avg), rel=ROUNDING)
    assert run.trace["f_avg"].iloc[-1] != run.trace["f"].iloc[-1]
    last = dc.solve(problem, "sgd", epochs=5, batch_size=8, lr=0.1)  # gives no weights
    assert last.trace["f_avg"].tolist() == last.trace["f"].tolist()


@pytest.mark.parametrize("checkpoints", ["epochs", "all", [10_000]])
def test_a_run_that_diverges_says_where_and_keeps_its_trace(checkpoints):
    problem, _ = make("lad", False, l2=1.0)
    run = dc.solve(
        problem, "sgd", epochs=2500, batch_size=16, lr=30.0, momentum=0.0, checkpoints=checkpoints
    )  # x grows by 29 in every step
    assert run.status == statuses.NOT_FINITE
    assert 20 < run.k < 400
    assert f"(k = {run.k})" in run.message
    assert run.rows[-1]["k"] == run.k
    expected = {"epochs": [*range(4, run.k, 4), run.k], "all": [*range(1, run.k + 1)]}
    assert run.trace["k"].tolist() == (expected[checkpoints] if isinstance(checkpoints, str) else [run.k])
    again = dc.solve(problem, "sgd", steps=run.k, batch_size=16, lr=30.0, momentum=0.0, checkpoints="epochs")
    assert again.status == statuses.COMPLETED
    assert np.array_equal(again.x, run.x)


def test_an_interrupted_run_keeps_its_trace_and_the_rows_it_passed():
    problem, _ = make("logistic", True)

    def progress(k):
        if k > 2000:
            raise KeyboardInterrupt

    run = dc.solve(problem, "sgd", epochs=10**6, batch_size=16, lr=RATE, progress=progress)
    assert run.status == statuses.INTERRUPTED
    assert 2000 < run.k < 4 * 10**6
    assert run.trace["k"].tolist() == sorted({*range(4, run.k + 1, 4), run.k})
    whole = dc.solve(problem, "sgd", steps=run.k, batch_size=16, lr=RATE, checkpoints="epochs")
    assert np.array_equal(whole.x, run.x)
    assert rows_of(whole) == rows_of(run)


def test_ctrl_c_during_a_compiled_chunk_keeps_what_the_chunk_did(monkeypatch):
    """The signal's exception comes when the compiled call has ended, before its result is assigned."""
    problem, _ = make("logistic", False)
    compiled, calls = driver.DRIVE_BATCHES.compile(), []

    def interrupted(*arguments):
        result = compiled(*arguments)
        calls.append(result)
        if result[0] >= 30:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(driver.DRIVE_BATCHES, "compile", lambda: interrupted)
        patch.setattr(solve_module, "first_pace", lambda *_: 10)
        run = dc.solve(problem, "sgd", epochs=1000, batch_size=16, lr=RATE)
    assert run.status == statuses.INTERRUPTED
    assert run.k == calls[-1][0] > calls[-2][0] + 1
    assert run.trace["k"].tolist() == sorted({*range(4, run.k + 1, 4), run.k})
    assert np.array_equal(run.x, dc.solve(problem, "sgd", steps=run.k, batch_size=16, lr=RATE).x)


@pytest.mark.parametrize("objective", ["compiled", "python"])
def test_noise_gives_the_same_bits_whatever_the_checkpoints_and_chunks(objective, small_chunks):
    problem = problems.absolute_value(x0=1.0)
    if objective == "python":
        problem = problems.from_callable(lambda x: (abs(x[0]), np.sign(x)), x0=[1.0], G=1.0)
    options = {"steps": 400, "noise": "gaussian(0.3)", "seed": 2, "d0": 0.1}
    whole = dc.solve(problem, "dadapt_dual_averaging", checkpoints=range(10, 401, 10), **options)
    every = dc.solve(problem, "dadapt_dual_averaging", checkpoints="all", **options)
    small_chunks()
    pieces = dc.solve(problem, "dadapt_dual_averaging", checkpoints=range(10, 401, 10), **options)
    assert len(whole.rows) == 40
    assert rows_of(pieces) == rows_of(whole)
    assert rows_of(every, "f_batch", "f_best")[9::10] == rows_of(whole, "f_batch", "f_best")
    assert np.array_equal(every.x_avg, whole.x_avg)


def test_a_problem_without_rows_is_refused():
    with pytest.raises(ValueError, match="has no rows to draw mini-batches from"):
        dc.solve(problems.absolute_value(x0=1.0), "sgd", steps=3, batch_size=1, lr=0.1)
    problem, _ = make("logistic", False)
    without = replace(problem, oracle=replace(problem.oracle, batch=None))
    with pytest.raises(ValueError, match="has no rows to draw mini-batches from"):
        dc.solve(without, "sgd", steps=3, batch_size=1, lr=0.1)


def test_data_of_a_csr_oracle_without_elements():
    """A batch of empty rows: the margins are 0, the subgradient the penalty's."""
    problem = problems.multinomial_logistic(scipy.sparse.csr_array((20, 4)), np.arange(20) % 3, intercept=False, l2=L2)
    x = np.arange(12.0)
    f, g, count = batch(problem, x, np.arange(20), 2, 19)
    assert f == pytest.approx(math.log(3) + L2 / 2 * (x @ x), rel=ROUNDING)
    assert np.array_equal(g, L2 * x)
    assert count == np.sum(np.arange(2, 19) % 3 == 0)
    assert problem.oracle.data._fields == pack()._fields

"""The contract: kernels are lazy, compiled once, cached on disk, never stale, and go to other processes."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exhaustive import EXHAUSTIVE

import dadapt_convex as dc
import problems
from dadapt_convex import vector
from dadapt_convex.oracle import Kernel, Objective, fingerprint, helper, oracle, pack
from dadapt_convex.state import step
from problems import hard_instances

ROOT = Path(__file__).resolve().parents[1]


def python(script: Path | str, cache: Path, **environment: str) -> str:
    """What a fresh process prints on standard output; warnings are errors there too."""
    return outputs(script, cache, **environment)[0]


def outputs(script: Path | str, cache: Path, *arguments: str, **environment: str) -> tuple[str, str]:
    """The same, with what it prints on standard error."""
    program = ["-c", script] if isinstance(script, str) else [str(script)]
    inherited = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-W", "error", *program, *arguments],
        env={**inherited, "PYTHONPATH": str(ROOT), "DADAPT_CACHE": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def machine_code(folder: Path) -> set[Path]:
    return set(folder.rglob("*.nbc"))


def write(path: Path, source: str) -> Path:
    path.write_text(textwrap.dedent(source), "utf-8")
    return path


# ---------------------------------------------------------------------------------------------------------
# Lazy


def test_a_kernel_is_compiled_at_its_first_call():
    @oracle
    def square(x, g, z, data):
        g[0] = 2.0 * x[0]
        return x[0] * x[0]

    assert "_dispatcher" not in vars(square)
    g = np.zeros(1)
    assert square(np.array([3.0]), g, np.zeros(0), pack()) == 9.0
    assert g[0] == 6.0
    assert "_dispatcher" in vars(square)
    assert square.compile() is square.compile()


def test_declaring_problems_and_methods_compiles_nothing(tmp_path):
    loaded = python(
        "import sys, problems, dadapt_convex as dc\n"
        "problems.get('hard:abs'); dc.get_method('dadapt_dual_averaging'); problems.hinge([[1.0], [2.0]], [1, -1])\n"
        "print('numba' in sys.modules)",
        tmp_path,
    )
    assert loaded.split() == ["False"]
    assert list(tmp_path.rglob("*")) == []


def test_a_helper_is_a_plain_function_in_python():
    u, v = np.array([1.0, 2.0]), np.array([3.0, -4.0])
    assert vector.dot(u, v) == -5.0
    assert vector.distance_squared(u, v) == 40.0
    assert vector.add_scaled(u, 2.0, v) == 85.0  # u is (7, -6) now
    assert np.array_equal(u, [7.0, -6.0])
    assert vector.dot.__name__ == "dot"
    assert vector.dot.__doc__


def test_a_kernel_keeps_its_name_and_docstring():
    assert hard_instances.abs_oracle.__name__ == "abs_oracle"
    assert "kink" in hard_instances.abs_oracle.__doc__


def test_methods_and_problems_satisfy_the_contract():
    assert isinstance(problems.absolute_value(), Objective)
    assert not isinstance("hard:abs", Objective)


def test_pack_copies_nothing_that_has_the_layout_already():
    A, b = np.ones((3, 2)), np.ones(3)
    data = pack(dense=A, b=b, params=(1, 2))
    assert np.shares_memory(data.dense, A)
    assert np.shares_memory(data.b, b)
    assert A.flags.writeable
    assert not any(array.flags.writeable for array in data)
    assert data.params.tolist() == [1.0, 2.0]
    assert (data.values.size, data.indices.size, data.indptr.size) == (0, 0, 0)


def test_pack_brings_other_layouts_into_the_one_that_compiled_oracles_take():
    data = pack(dense=np.asfortranarray(np.arange(6).reshape(2, 3)), csr=([1, 2], [0, 1], [0, 1, 2]), b=[1, -1])
    assert [array.dtype.str[1:] for array in data] == ["f8", "f8", "u4", "u8", "f8", "f8"]
    assert all(array.flags.c_contiguous for array in data)
    assert data.dense.tolist() == [[0, 1, 2], [3, 4, 5]]


# ---------------------------------------------------------------------------------------------------------
# The fingerprint: what the machine code depends on beyond the kernel's own file

LIBRARY = """
import math
import numpy as np
from dadapt_convex.oracle import helper

FACTOR = 2.0
TABLE = np.array([1.0, 2.0])
PAIR = (1, 2)

@helper
def inner(x):
    return x + 1.0

@helper
def outer(x, scale=3.0):
    return FACTOR * inner(x) * scale + TABLE[0] + PAIR[0]

@helper
def unused(x):
    return x
"""
KERNEL = """
from dadapt_convex.oracle import oracle
import library
from library import outer

THRESHOLD = 1.0

@oracle
def kernel(x, g, z, data):
    return outer(x[0]) if x[0] > THRESHOLD else 0.0
"""
BY_MODULE = KERNEL.replace("outer(x[0])", "library.outer(x[0]) * library.FACTOR").replace(
    "from library import outer", ""
)


def kernel_of(library: str, kernel: str, monkeypatch) -> Kernel:
    """The kernel of these two modules."""
    for name, source in (("library", library), ("user", kernel)):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, f"{name}.py", "exec"), vars(module))
    return sys.modules["user"].kernel


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return x + 1.0", "return x - 1.0"),
        ("return x + 1.0", "return x + 1.5"),
        ("return x + 1.0", "return math.sin(x) + 1.0"),
        ("* scale", "+ scale"),
        ("scale=3.0", "scale=4.0"),
        ("FACTOR = 2.0", "FACTOR = 2.5"),
        ("[1.0, 2.0]", "[1.5, 2.0]"),
        ("PAIR = (1, 2)", "PAIR = (3, 2)"),
    ],
)
@pytest.mark.parametrize("kernel", [KERNEL, BY_MODULE], ids=["by name", "through the module"])
def test_the_fingerprint_follows_helpers_and_constants(kernel, old, new, monkeypatch):
    assert LIBRARY.count(old) == 1
    before = fingerprint(kernel_of(LIBRARY, kernel, monkeypatch))
    assert fingerprint(kernel_of(LIBRARY.replace(old, new), kernel, monkeypatch)) != before


def test_the_fingerprint_follows_constants_of_the_kernels_module(monkeypatch):
    before = fingerprint(kernel_of(LIBRARY, KERNEL, monkeypatch))
    assert fingerprint(kernel_of(LIBRARY, KERNEL.replace("THRESHOLD = 1.0", "THRESHOLD = 2.0"), monkeypatch)) != before


@pytest.mark.parametrize(
    ("old", "new"), [("return x\n", "return 2 * x\n"), ("def inner(x):", "def inner(x):  # adds one"), ("", "")]
)
def test_the_fingerprint_ignores_what_the_kernel_does_not_reach(old, new, monkeypatch):
    before = fingerprint(kernel_of(LIBRARY, KERNEL, monkeypatch))
    assert fingerprint(kernel_of(LIBRARY.replace(old, new), KERNEL, monkeypatch)) == before


def test_the_fingerprint_tells_two_helpers_of_one_name_apart(monkeypatch):
    """The kernel's own `inner` must not hide the one that `outer` calls."""
    own = "\n".join(
        [
            KERNEL.replace("outer(x[0]) if", "inner(x[0]) + outer(x[0]) if"),
            "from dadapt_convex.oracle import helper",
            "@helper",
            "def inner(x):",
            "    return x",
        ]
    )
    before = fingerprint(kernel_of(LIBRARY, own, monkeypatch))
    assert fingerprint(kernel_of(LIBRARY.replace("x + 1.0", "x + 7.0"), own, monkeypatch)) != before


def test_the_fingerprint_holds_the_compilers_options(monkeypatch):
    kernel = hard_instances.abs_oracle
    before = fingerprint(kernel)
    assert fingerprint(Kernel(kernel.python, "oracle", frozenset())) != before
    monkeypatch.setattr(sys.modules["dadapt_convex.oracle"], "ERROR_MODEL", "python")
    assert fingerprint(kernel) != before


# ---------------------------------------------------------------------------------------------------------
# The cache on disk

SOLVES = """
import json, sys
import numpy as np, scipy.sparse
import dadapt_convex as dc, problems
from pathlib import Path

bits, first_seconds = {}, None
for problem in (problems.absolute_value(), problems.norm2()):
    for method in ("polyak", "subgradient"):
        run = dc.solve(problem, method, steps=20)
        first_seconds = first_seconds or run.compile_seconds
        bits[f"{problem.name} {method}"] = run.x_avg.tolist()
found = {"seconds": first_seconds, "files": len(list(Path(sys.argv[1]).rglob("*.nbc")))}

A, y = np.random.default_rng(0).standard_normal((150, 7)), np.resize(np.arange(6), 150)
for loss in (problems.logistic, problems.hinge)[: int(sys.argv[3])]:
    run = dc.solve(loss(A, np.sign(A[:, 0])), "dadapt_dual_averaging", steps=300)
    bits[loss.__name__] = [v for row in run.rows for key, v in row.items() if key != "seconds"]
for matrix in (A, scipy.sparse.csr_array(A))[: int(sys.argv[2])]:
    storage, problem = type(matrix).__name__, problems.multinomial_logistic(matrix, y)
    x = np.sin(np.arange(float(problem.p)))
    f, g, z = problem.value(x), problem.subgradient(x), problem.margins(x)
    bits[f"{storage} kernels"] = [f, problem.oracle.value_at(x, z), *g, *z]
    run = dc.solve(problem, "dadapt_adam", epochs=20, batch_size=16)
    bits[f"{storage} mini-batches"] = [*run.x, *(row["f"] for row in run.rows)]
found["bits"] = {name: [float(v).hex() for v in values] for name, values in bits.items()}
print(json.dumps(found))
"""


STORED = ("ndarray", "csr_array")[: 2 if EXHAUSTIVE else 1]
LOSSES = ("logistic", "hinge")[: 2 if EXHAUSTIVE else 0]


@dataclass(frozen=True)
class Process:
    """What a process printed, and the machine code on disk when it ended, with the times of writing."""

    found: dict[str, Any]
    said: str
    files: dict[Path, int]


@pytest.fixture(scope="module")
def compiling_and_loading(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Process, Process]:
    """(a cache, the process that filled it, one that finds it filled)."""
    cache = tmp_path_factory.mktemp("compiled")

    def run(hash_seed: str) -> Process:
        counts = str(len(STORED)), str(len(LOSSES))
        told, said = outputs(SOLVES, cache, str(cache), *counts, PYTHONHASHSEED=hash_seed)
        return Process(json.loads(told), said, {path: path.stat().st_mtime_ns for path in machine_code(cache)})

    return cache, run("1"), run("2")


def test_machine_code_is_cached_once_per_method_and_problem_and_found_again(compiling_and_loading):
    cache, first, second = compiling_and_loading
    assert first.said == f"compiling 3 functions, once: kept in {cache / 'numba'}\n"  # the first solve()
    assert first.found["files"] == 1 + 2 + 2  # the driver, two methods, two problems: a sum, not a product
    assert second.said == ""
    assert second.files == first.files
    # of the first solve() in either process: includes importing numba, the same for both
    assert second.found["seconds"] < first.found["seconds"]


def test_the_process_that_compiles_computes_the_same_bits_as_those_that_load(compiling_and_loading):
    """A helper left out of line would be resolved to another module's copy in the process that compiled it."""
    _, compiling, loading = compiling_and_loading
    for name, bits in compiling.found["bits"].items():
        assert loading.found["bits"][name] == bits, name
    counts = {name: len(bits) for name, bits in loading.found["bits"].items()}
    assert counts.keys() >= {*LOSSES, *(f"{s} {of}" for s in STORED for of in ("kernels", "mini-batches"))}
    assert min(counts[f"{s} kernels"] for s in STORED) > 900  # the gradient and all margins
    assert min(counts[f"{s} mini-batches"] for s in STORED) >= 48 + 20  # x, and f in each row


USER = """
from dadapt_convex.oracle import oracle, pack
from library import outer
import numpy as np

@oracle
def kernel(x, g, z, data):
    return outer(x[0])

if __name__ == "__main__":
    x = np.zeros(1)
    print(kernel(x, x.copy(), np.zeros(0), pack()))
"""
HELPERS = """
from dadapt_convex.oracle import helper

@helper
def inner(x):
    return x + {}

@helper
def outer(x):
    return inner(x)
"""


def test_an_edited_helper_is_never_stale(tmp_path):
    user, cache = write(tmp_path / "user.py", USER), tmp_path / "cache"
    library = write(tmp_path / "library.py", HELPERS.format(1.0))
    assert python(user, cache).split() == ["1.0"]
    write(library, HELPERS.format(25.0))
    assert python(user, cache).split() == ["25.0"]
    assert len(machine_code(cache)) == 2


def test_without_a_writable_cache_everything_works_and_nothing_is_written(tmp_path):
    """A folder below a regular file cannot be made, not even by root. Stale code must not come in this way either."""
    write(tmp_path / "file", "")
    user, below = write(tmp_path / "user.py", USER), tmp_path / "file" / "below"
    library = write(tmp_path / "library.py", HELPERS.format(1.0))
    assert python(user, below).split() == ["1.0"]
    write(library, HELPERS.format(25.0))
    assert python(user, below, HOME=str(below), DADAPT_CACHE="").split() == ["25.0"]
    assert machine_code(tmp_path) == set()


def test_numba_cache_dir_is_respected(tmp_path):
    write(tmp_path / "library.py", HELPERS.format(1.0))
    user, chosen = write(tmp_path / "user.py", USER), tmp_path / "chosen"
    python(user, tmp_path / "cache", NUMBA_CACHE_DIR=str(chosen))
    assert len(machine_code(chosen)) == 1
    assert not (tmp_path / "cache").exists()


def test_a_kernel_typed_into_a_console_runs_without_a_cache(tmp_path):
    assert python(USER.replace("from library import outer", "outer = float"), tmp_path).split() == ["0.0"]
    assert machine_code(tmp_path) == set()


# ---------------------------------------------------------------------------------------------------------
# Other processes


@pytest.mark.parametrize("kernel", [hard_instances.abs_oracle, dc.get_method("polyak").step], ids=lambda k: k.__name__)
def test_a_kernel_of_a_module_travels_by_name(kernel):
    assert pickle.loads(pickle.dumps(kernel)) is kernel


def test_a_method_of_a_script_travels_to_worker_processes(tmp_path):
    """As in a user's own file: __main__ cannot be imported by a worker, so the function itself is sent."""
    script = write(
        tmp_path / "script.py",
        """
        import os
        import joblib
        import numpy as np
        import dadapt_convex as dc

        @dc.helper
        def half(c):
            return 0.5 * c

        @dc.step
        def halves(k, f, g2, g, x, x_next, vectors, scalars, hyper):
            for i in range(x.size):
                x_next[i] = x[i] - half(hyper[0]) * g[i]
            return 1.0

        METHOD = dc.Method("halves", "", "", step=halves, hyper=(dc.Real("c", "a step", default=0.1, low=0.0),))

        def next_x(method, c):
            x, x_next = np.ones(1), np.zeros(1)
            method.step(0, 1.0, 1.0, x, x, x_next, np.zeros((1, 1)), np.zeros(0), np.array([c]))
            return x_next[0], os.getpid()

        if __name__ == "__main__":
            [(there, worker)] = joblib.Parallel(n_jobs=2)([joblib.delayed(next_x)(METHOD, 0.2)])
            here, parent = next_x(METHOD, 0.2)
            print(there, here, worker != parent)
        """,
    )
    assert python(script, tmp_path / "cache").split() == ["0.9", "0.9", "True"]


# ---------------------------------------------------------------------------------------------------------
# What the compiler must not do


@oracle
def not_a_number(x, g, z, data):
    """Whether x[0] is finite, as compiled."""
    return 1.0 if np.isfinite(x[0]) else 0.0


@pytest.mark.parametrize("x", [np.nan, np.inf, -np.inf])
def test_compiled_functions_see_what_is_not_finite(x):
    """Fast arithmetic that assumes finite numbers would see through none of these."""
    assert not_a_number(np.array([x]), np.zeros(1), np.zeros(0), pack()) == 0.0
    assert not_a_number(np.array([1.0]), np.zeros(1), np.zeros(0), pack()) == 1.0


@helper
def ratio(a, b):
    """A / b."""
    return a / b


@oracle
def divides(x, g, z, data):
    """x[0] / x[1], here and in a helper."""
    return x[0] / x[1] + ratio(x[0], x[1])


def test_compiled_functions_raise_nothing_on_division_by_zero():
    assert divides(np.array([1.0, 0.0]), np.zeros(2), np.zeros(0), pack()) == np.inf
    assert np.isnan(divides(np.array([0.0, 0.0]), np.zeros(2), np.zeros(0), pack()))


@step
def counts(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """A step that keeps x where it is."""
    for i in range(x.size):
        x_next[i] = x[i]
    return float(k)


def test_arguments_of_the_wrong_kind_are_refused_by_the_compiled_function():
    with pytest.raises(TypeError, match="No matching definition"):
        counts(0, 0.0, 0.0, np.zeros((2, 2)), *[np.zeros(2)] * 2, np.zeros((1, 2)), np.zeros(0), np.zeros(0))

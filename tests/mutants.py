"""Wrong variants of the built-in methods: every line of every step broken, and what refutes them.

    python -m tests.mutants [METHOD ...]

prints, for each method, how many of its wrong variants end with a bad status, violate a rate or a lemma, violate a
definition alone, fail the replay alone, or survive. A variant is a fault at one place of the step, of a helper that it
calls, or of a start of its state; it is active at k = 0 alone, from k = 100 on, or at the very last step, and the right
step runs otherwise.

All faults of a method are compiled as one step. A hyper-parameter `fault`, after all others, selects one by its number;
0 selects none. The step is rewritten on its syntax tree: at each place that can be broken stands

    expression * (1.0 + (site == 17) * (factor - 1.0))      factor * expression where that site is selected
    (alternative if site == 18 else expression)             another expression
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import math
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import dadapt_convex as dc
import problems
from dadapt_convex.methods import sgd
from dadapt_convex.oracle import Helper, helper
from dadapt_convex.state import View

STEPS = 300
EARLY = 10  # steps after a fault at k = 0 in which it shows, and rounding does not
FROM = 100  # where the late faults begin
EVER_AFTER = 2**31

# Faults of what the step hands out, by the number of their site; the sites in the step begin at FIRST_SITE.
MOVED, LOST, SQUARED, NEGATIVE, SCALED, ANOTHER = range(1, 7)
FIRST_SITE = 10
OUTCOMES = (
    (MOVED, -1.0, "x_{k+1}: moved the other way"),
    (MOVED, 0.0, "x_{k+1}: not moved"),
    (MOVED, 2.0, "x_{k+1}: moved twice as far"),
    (MOVED, 10.0, "x_{k+1}: moved ten times as far"),
    (LOST, math.nan, "x_{k+1}: NaN"),
    (LOST, math.inf, "x_{k+1}: infinite"),
    (SQUARED, 1.0, "weight: squared"),
    (NEGATIVE, 1.0, "weight: negative"),
    (SCALED, 1.01, "weight: times 1.01"),
    (SCALED, math.nan, "weight: NaN"),
    (ANOTHER, 1.0, "weight: 1 too large"),
)
# The rewritten step takes the arrays, as a wrong start is no matter of the step.
ARGUMENTS = ("k", "f", "g2", "g", "x", "x_next", "vectors", "scalars", "numbers")
SELECTION = """
state, hyper = _state_of(vectors, scalars), _hyper_of(numbers)
fault = int(hyper.fault)
_site = _SITES[fault] if _FIRST[fault] <= k <= _LAST[fault] else 0
_factor = _FACTORS[fault]
_change = _factor - 1.0 if _site >= {first_site} else 0.0
"""

# What a slip of the pen takes for what: read wherever both are defined.
PARTNERS = {
    "gamma": "gamma_next", "gamma_next": "gamma", "x": "x0", "x0": "x", "g": "s", "d": "d_hat", "d_next": "d",
    "lam": "d", "s_norm": "s_norm2", "s_norm2": "s_norm", "a_k": "a_next", "a_next": "a_k", "inverse_k": "inverse_next",
    "inverse_next": "inverse_k", "g2": "f", "m": "v", "beta1": "beta2", "beta2": "beta1", "rate": "lr", "h": "lr",
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One wrong variant: what is wrong, at which site of the step, with which factor, from which step to which."""

    text: str
    site: int = 0
    factor: float = 1.0
    first: int = 0
    last: int = EVER_AFTER
    init: Callable[[Any, Any], None] | None = None  # (vectors, scalars) -> None, after the right init

    def __str__(self) -> str:
        if self.init is not None:
            return f"init: {self.text}"
        when = {0: "at k = 0", STEPS - 1: "at the last step"}.get(self.first, f"from k = {self.first} on")
        return f"{self.text}, {when}"


@helper
def handed_out(w: float, x: Any, x_next: Any, site: int, factor: float) -> float:
    """The weight w and x_{k+1} with the faults of OUTCOMES."""
    if site == MOVED:
        for i in range(x.size):
            x_next[i] = x[i] + factor * (x_next[i] - x[i])
    elif site == LOST:
        x_next[0] = factor
    elif site == SQUARED:
        return w * w
    elif site == NEGATIVE:
        return -abs(w) - 1e-3
    elif site == SCALED:
        return factor * w
    elif site == ANOTHER:
        return w + factor
    return w


class Breaker:
    """Rewrites a named step and the helpers it calls; `sites` lists (number, factor, text) of what can be broken.

    wanted: the sites to make breakable; their numbers do not depend on it.
    """

    def __init__(self, method: dc.Method, wanted: Collection[int]) -> None:
        self.method = method
        self.wanted = wanted
        self.sites: list[tuple[int, float, str]] = []
        self.count = FIRST_SITE
        state, hyper = method.step.state, method.step.hyper
        selected = dc.Real(meaning="the number of the fault, 0 for none", default=0.0, low=0.0, closed=True)
        self.hyper = type(hyper)("Hyper", (hyper,), {"fault": selected})
        # By what a step calls them: names of one kind, each of which may be taken for the next.
        kinds = {name: kind for name, kind, *_ in hyper.layout()}
        self.kinds: dict[str, dict[str, str]] = {
            "state": {name: "vector" if name in state.vectors else "number" for name in state.fields},
            "hyper": {name: "flag" if kind == "option" else kind for name, kind in kinds.items()},
        }
        self.namespace: dict[str, Any] = {
            "__name__": __name__, "_handed_out": handed_out, "_state_of": View(state), "_hyper_of": View(self.hyper),
        }  # fmt: skip
        self.statement, self.whole = "", True
        self.defined: set[str] = set()
        self.arrays: set[str] = set()
        self.step = self.rewritten(method.step.written)

    def rewritten(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The step, or a helper with two further arguments: the selected site, and its factor less 1."""
        outside = self.statement, self.defined, self.arrays, self.whole
        self.whole = function is self.method.step.written
        scope = function.__globals__
        for name, target in scope.items():
            self.namespace.setdefault(name, target)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        tree.decorator_list, tree.returns = [], None
        self.defined = {a.arg for a in tree.args.args}
        annotated = {a.arg for a in tree.args.args if ast.unparse(a.annotation or ast.Constant("")) == "Any"}
        self.arrays = annotated - self.kinds.keys()
        for argument in tree.args.args:
            argument.annotation = None
        tree.name = f"_broken_{function.__name__}"
        tree.body = self.block(tree.body)
        if self.whole:
            tree.args.args = [ast.arg(name) for name in ARGUMENTS]
            tree.body = ast.parse(SELECTION.format(first_site=FIRST_SITE)).body + tree.body
        else:
            tree.args.args += [ast.arg("_site"), ast.arg("_change")]
        module = ast.fix_missing_locations(ast.Module([tree], []))
        exec(compile(module, f"<{self.method.name} with faults>", "exec"), self.namespace)
        made = self.namespace[tree.name]
        self.namespace[tree.name] = helper(made)
        self.statement, self.defined, self.arrays, self.whole = outside
        return made

    # -- what a site can be

    def selected(self) -> tuple[ast.expr, bool]:
        """`_site == number` of a new site, and whether it is wanted."""
        number = self.count
        self.count += 1
        test = ast.Compare(ast.Name("_site", ast.Load()), [ast.Eq()], [ast.Constant(number)])
        return test, number in self.wanted

    def scaled(self, node: ast.expr, of: ast.expr, factors: Iterable[float]) -> ast.expr:
        """The node, times one of these factors."""
        number, (test, wanted) = self.count, self.selected()
        self.sites += [(number, c, f"{self.statement}: {ast.unparse(of)} times {c:g}") for c in factors]
        if not wanted:
            return node
        change = ast.BinOp(test, ast.Mult(), ast.Name("_change", ast.Load()))
        return ast.BinOp(node, ast.Mult(), ast.BinOp(ast.Constant(1.0), ast.Add(), change))

    def replaced(self, node: ast.expr, of: ast.expr, by: ast.expr, text: str = "") -> ast.expr:
        """The node, or another."""
        number, (test, wanted) = self.count, self.selected()
        text = text or f"{ast.unparse(by)} for {ast.unparse(of)}"
        self.sites.append((number, 1.0, f"{self.statement}: {text}"))
        return ast.IfExp(test, copy.deepcopy(by), node) if wanted else node

    # -- statements

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [made for statement in statements for made in self.one(statement)]

    def one(self, node: ast.stmt) -> list[ast.stmt]:
        self.statement = _first_line(node)
        if isinstance(node, ast.Expr) and _constant(node.value):
            return []  # the docstring
        node = copy.deepcopy(node)
        if isinstance(node, ast.Assign):
            right = copy.deepcopy(node)
            node.value = self.value(node.value, whole=not isinstance(node.value, ast.Call) or not _many(node))
            if isinstance(right.targets[0], ast.Attribute):
                before = ast.Attribute(right.targets[0].value, right.targets[0].attr, ast.Load())
                node.value = self.replaced(node.value, right.value, before, "left out")
            self.defined |= {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            self.arrays |= {name.id for name, value in _pairs(right) if self.kind(value) == "vector"}
        elif isinstance(node, ast.AugAssign):
            node.value = self.scaled(self.expression(node.value), node.value, (1.01, -1.0, 0.0, 2.0))
        elif isinstance(node, ast.Return):
            assert node.value is not None
            node.value = self.value(node.value)
            if self.whole:
                names = ("x", "x_next", "_site", "_factor")
                further = [ast.Name(name, ast.Load()) for name in names]
                node.value = ast.Call(ast.Name("_handed_out", ast.Load()), [node.value, *further], [])
        elif isinstance(node, ast.Expr):
            call = ast.Expr(self.expression(node.value))
            number, (test, wanted) = self.count, self.selected()
            self.sites.append((number, 1.0, f"{self.statement}: left out"))
            return [ast.If(ast.UnaryOp(ast.Not(), test), [call], [])] if wanted else [call]
        elif isinstance(node, ast.If):
            node.test = self.negated(node.test)
            node.body, node.orelse = self.inside(node.body), self.inside(node.orelse)
        elif isinstance(node, ast.For):
            assert isinstance(node.iter, ast.Call)
            begin = self.replaced(ast.Constant(0), node.iter, ast.Constant(1), "without the first")
            [size] = node.iter.args
            end = self.replaced(size, node.iter, ast.BinOp(size, ast.Sub(), ast.Constant(1)), "without the last")
            node.iter.args = [begin, end]
            node.body = self.inside(node.body)
        else:
            raise NotImplementedError(ast.unparse(node))
        return [node]

    def inside(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """A block whose names may stay undefined after it."""
        before, statement = set(self.defined), self.statement
        made = self.block(statements)
        self.defined, self.statement = before, statement
        return made

    # -- expressions

    def value(self, node: ast.expr, whole: bool = True) -> ast.expr:
        """The right-hand side of a statement."""
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self.value(e) for e in node.elts], ast.Load())
        if isinstance(node, ast.IfExp):
            return ast.IfExp(self.negated(node.test), self.value(node.body), self.value(node.orelse))
        if isinstance(node, ast.Compare | ast.BoolOp):
            return self.negated(node)
        if self.kind(node) == "flag":
            return self.negated(node)
        if self.kind(node) in ("vector", "pair"):
            return self.expression(node)
        if isinstance(node, ast.Constant) and node.value == 0:
            return self.replaced(node, node, ast.Constant(0.01))
        made = self.expression(node)
        return self.scaled(made, node, (1.01, -1.0, 0.0)) if whole and not self.kind(node) else made

    def negated(self, test: ast.expr) -> ast.expr:
        return self.replaced(test, test, ast.UnaryOp(ast.Not(), test))

    def expression(self, node: ast.expr) -> ast.expr:
        """The node with the sites inside it."""
        if isinstance(node, ast.Name):
            if node.id == "k":
                return self.replaced(node, node, ast.BinOp(node, ast.Add(), ast.Constant(1)))
            partner = PARTNERS.get(node.id, "")
            return self.replaced(node, node, ast.Name(partner, ast.Load())) if self.defines(node.id, partner) else node
        if isinstance(node, ast.Constant):
            number = isinstance(node.value, float) and node.value != 0
            return self.scaled(node, node, (1.01,)) if number else node
        if isinstance(node, ast.UnaryOp):
            return ast.UnaryOp(node.op, self.expression(node.operand))
        if isinstance(node, ast.IfExp):
            return ast.IfExp(self.negated(node.test), self.expression(node.body), self.expression(node.orelse))
        if isinstance(node, ast.BinOp):
            return ast.BinOp(self.operand(node.left, node.op), node.op, self.operand(node.right, node.op))
        if isinstance(node, ast.Subscript):
            return self.entry(node)
        if isinstance(node, ast.Attribute):
            return self.named(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        return node

    def defines(self, name: str, partner: str) -> bool:
        return partner in self.defined and (name in self.arrays) == (partner in self.arrays)

    def operand(self, node: ast.expr, op: ast.operator) -> ast.expr:
        """A term left out or with the other sign; a factor left out."""
        made = self.expression(node)
        if isinstance(op, ast.Add | ast.Sub):
            return self.scaled(made, node, (0.0, -1.0))
        if isinstance(op, ast.Mult | ast.Div) and not isinstance(node, ast.BinOp | ast.Constant):
            return self.replaced(made, node, ast.Constant(1.0))
        return made

    def kind(self, node: ast.expr) -> str:
        """Of a name or of an entry of the state or the hyper-parameters: vector, number, flag or pair; else ""."""
        if isinstance(node, ast.Name):
            return "vector" if node.id in self.arrays else ""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self.kinds.get(node.value.id, {}).get(node.attr, "")
        return ""

    def named(self, node: ast.Attribute) -> ast.expr:
        """The name after this one, and that of PARTNERS; the two of a pair exchanged; a flag negated."""
        kind = self.kind(node)
        if kind == "flag":
            return self.negated(node)
        if kind == "pair":
            first, second = (ast.Subscript(node, ast.Constant(i), ast.Load()) for i in (0, 1))
            less = [ast.BinOp(ast.Constant(0.99), ast.Mult(), part) for part in (first, second)]
            zero = ast.Constant(0.0)
            made: ast.expr = node
            for two in ((second, first), (zero, second), (first, zero), (less[0], second), (first, less[1])):
                made = self.replaced(made, node, ast.Tuple(list(two), ast.Load()))
            return made
        if not kind:
            return node
        names = [name for name, other in self.kinds[ast.unparse(node.value)].items() if other == kind]
        after = names[(names.index(node.attr) + 1) % len(names)]
        made = node
        for name in dict.fromkeys((after, PARTNERS.get(node.attr, ""))):
            if name in names and name != node.attr:
                made = self.replaced(made, node, ast.Attribute(node.value, name, ast.Load()))
        return self.scaled(made, node, (1.01, -1.0, 0.0)) if kind == "number" else made

    def entry(self, node: ast.Subscript) -> ast.expr:
        """That of the wrong vector."""
        if not isinstance(node.value, ast.Name):
            return node
        base, partner = node.value.id, PARTNERS.get(node.value.id, "")
        if self.defines(base, partner):
            return self.replaced(node, node, ast.Subscript(ast.Name(partner, ast.Load()), node.slice, ast.Load()))
        return node

    def call(self, node: ast.Call) -> ast.expr:
        """Without the root or the sign; one of two in place of their maximum; wrong arguments of a helper."""
        name = ast.unparse(node.func)
        target = self.namespace.get(name)
        if isinstance(target, Helper):
            wrong = f"_broken_{name}"
            if wrong not in self.namespace:
                self.rewritten(target.python)
            selection = [ast.Name("_site", ast.Load()), ast.Name("_change", ast.Load())]
            return ast.Call(ast.Name(wrong, ast.Load()), [*map(self.argument, node.args), *selection], [])
        made: ast.expr = ast.Call(node.func, [self.expression(a) for a in node.args], [])
        for argument in node.args:
            if name in ("sqrt", "max", "min", "abs"):
                made = self.replaced(made, node, argument)
        return made

    def argument(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Constant) or (
            isinstance(node, ast.Name) and node.id not in self.defined - self.kinds.keys()
        ):
            return node  # a flag, no bound; the state
        made = self.expression(node)
        return made if self.kind(node) else self.scaled(made, node, (1.5,))


def _first_line(node: ast.stmt) -> str:
    return ast.unparse(node).splitlines()[0].rstrip(":")


def _constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _many(node: ast.Assign) -> bool:
    """Whether several values are assigned."""
    return isinstance(node.targets[0], ast.Tuple)


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.Name, ast.expr]]:
    """The names that an assignment gives to single values."""
    for target in node.targets:
        many = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
        for name, value in zip(target.elts, node.value.elts, strict=True) if many else ((target, node.value),):
            if isinstance(name, ast.Name):
                yield name, value


def _wrong_starts(method: dc.Method) -> Iterator[Fault]:
    """Every part of the state starts at a wrong value; d also at twice d_0."""

    def vector(i: int) -> Callable[[Any, Any], None]:
        return lambda vectors, scalars: vectors.__setitem__(i, vectors[i] + 0.1)

    def scalar(i: int, factor: float, shift: float) -> Callable[[Any, Any], None]:
        return lambda vectors, scalars: scalars.__setitem__(i, factor * scalars[i] + shift)

    for i, name in enumerate(method.vectors):
        yield Fault(f"{name} starts 0.1 too large", init=vector(i))
    for i, name in enumerate(method.scalars):
        yield Fault(f"{name} starts 0.1 too large", init=scalar(i, 1.0, 0.1))
        if name == "d":
            yield Fault("d starts at twice d0", init=scalar(i, 2.0, 0.0))


@functools.cache
def faults(name: str) -> tuple[Fault, ...]:
    """All faults of a built-in method."""
    method = dc.get_method(name)
    early_and_late = ((0, 0), (FROM, EVER_AFTER))
    places = [*OUTCOMES, *Breaker(method, wanted=()).sites]
    found = [Fault(text, site, c, first, last) for site, c, text in places for first, last in early_and_late]
    last = [Fault(text, site, c, STEPS - 1, STEPS - 1) for site, c, text in OUTCOMES]
    return (*found, *last, *_wrong_starts(method))


def statements(name: str) -> list[str]:
    """The first lines of all statements of a step, other than those that name its vectors."""
    step = dc.get_method(name).step
    tree = ast.parse(textwrap.dedent(inspect.getsource(step.written))).body[0]
    found = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and node is not tree]
    vectors = {f"state.{vector}" for vector in step.state.vectors}
    return [
        _first_line(node)
        for node in found
        if not (isinstance(node, ast.Expr) and _constant(node.value))
        and not (isinstance(node, ast.Assign) and {ast.unparse(value) for _, value in _pairs(node)} & vectors)
    ]


@functools.cache
def faulty(name: str, chosen: tuple[Fault, ...]) -> dc.Method:
    """The method with these faults: its hyper-parameter fault=j selects the j-th, from 1; 0 selects none."""
    method, chosen = dc.get_method(name), (Fault("none"), *chosen)
    breaker = Breaker(method, {fault.site for fault in chosen})
    at = breaker.hyper.at["fault"]
    breaker.namespace |= {
        "_SITES": np.array([fault.site for fault in chosen]),
        "_FACTORS": np.array([fault.factor for fault in chosen]),
        "_FIRST": np.array([fault.first for fault in chosen]),
        "_LAST": np.array([fault.last for fault in chosen]),
    }

    def init(vectors: Any, scalars: Any, hyper: Any) -> None:
        method.init(vectors, scalars, hyper)
        wrong = chosen[int(hyper[at])].init
        if wrong is not None:
            wrong(vectors, scalars)

    return replace(method, step=dc.step(breaker.step), init=init, hyper=breaker.hyper.parameters)


# ---------------------------------------------------------------------------------------------------------
# A wrong step that is no single fault of the right one


@dc.step(sgd.State, sgd.Hyper)
def nesterov(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: sgd.State, hyper: sgd.Hyper
) -> float:  # fmt: skip
    """Nesterov's momentum, as PyTorch has it, with the books of sgd."""
    m = state.m
    h = hyper.lr * hyper.schedule
    for i in range(x.size):
        gi = g[i] + hyper.weight_decay * x[i]
        m[i] = hyper.momentum * m[i] + gi
        x_next[i] = x[i] - h * (gi + hyper.momentum * m[i])
    if k == 0:
        state.f_first = f
    return h


def under_sgds_claims() -> Iterator[str]:
    """What refutes Nesterov's momentum under the claims of sgd, on each problem."""
    method = replace(dc.get_method("sgd"), step=nesterov)
    for problem in instances():
        run = dc.solve(problem, method, steps=STEPS, momentum=0.9, lr=RATES["sgd"])
        yield refuted_by(run, problem)


# ---------------------------------------------------------------------------------------------------------
# The trial

SCHEDULED = {"schedule": "warmup(20, cosine(0.1))"}
CAPPED = {"growth_rate": 1.02}
DECAYED = {"weight_decay": 0.1}
LARGE_EPS = {"eps": 1e-2}  # otherwise faults of eps are no larger than rounding
RELEASED = {"convention": "released"}
# Beside its defaults, what brings every line of a step into use.
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "subgradient": ({"schedule": "inverse_sqrt"},),
    "adam": ({**DECAYED, **LARGE_EPS}, {**DECAYED, "decouple": True}),
    "sgd": ({"momentum": 0.9}, {**DECAYED, "momentum": 0.9}),
    "adagrad": ({**DECAYED, **LARGE_EPS},),
    "dadapt_dual_averaging": ({"option": "II"}, {"step": "modified"}),
    "dadapt_gradient_descent": (CAPPED,),
    "dadapt_adagrad": (CAPPED, {**DECAYED, "momentum": 0.5}, {**RELEASED, **DECAYED, **LARGE_EPS}),
    "dadapt_sgd": (CAPPED, {"momentum": 0.0}, {**RELEASED, **DECAYED}),
    "dadapt_adam": (
        CAPPED,
        {"bias_correction": True, **DECAYED, **LARGE_EPS},
        {**RELEASED, **DECAYED, **LARGE_EPS, "decouple": True},
    ),
}  # fmt: skip
RATES = {"sgd": 0.1, "adagrad": 1.0, "adam": 0.1}


@functools.cache
def instances() -> tuple[problems.Problem, ...]:
    """Small problems; on the first no method stops early."""
    rng = np.random.default_rng(5)
    A = rng.standard_normal((30, 3))
    labels = np.where(A @ [1.0, -1.0, 0.5] + 1.5 * rng.standard_normal(30) > 0, 1.0, -1.0)
    return (
        problems.least_absolute_deviation(A, A @ [2.0, -1.0, 0.5] + rng.standard_normal(30)),
        problems.absolute_value(),
        problems.max_abs(5),
        problems.logistic(A, labels),
    )


@functools.cache
def trials(name: str) -> list[tuple[problems.Problem, dict[str, Any]]]:
    """The problems and hyper-parameters on which a variant is tried, in this order."""
    own = {"lr": RATES[name]} if name in RATES else {}
    estimated = "d0" in dc.get_method(name).parameters

    def hyper(problem: problems.Problem, given: dict[str, Any]) -> dict[str, Any]:
        return own | given | ({"d0": 1e-2 * problem.optimum().D_lo} if estimated else {})

    first, *_, smooth = instances()
    chosen = [(problem, hyper(problem, {})) for problem in instances()]
    for given in (SCHEDULED, *SETTINGS.get(name, ())):
        chosen += [(problem, hyper(problem, given)) for problem in (first, smooth)]
    return chosen


STATUS, BOUND, DEFINITION, REPLAY, SURVIVES, EQUIVALENT = (
    "status", "rate or lemma", "definition", "replay", "survives", "equivalent",
)  # fmt: skip


def refuted_by(run: dc.Run, problem: problems.Problem) -> str:
    """The first of: the status, a rate or lemma, a definition, the replay; else SURVIVES."""
    if run.status not in ("completed", "converged"):
        return STATUS
    with np.errstate(all="ignore"):
        table = dc.check(run, problem.optimum())
    violated = table[table["verdict"] == "VIOLATED"]
    kinds = {_kind(row) for row in violated.to_dict("records")}
    return next((kind for kind in (BOUND, DEFINITION, REPLAY) if kind in kinds), SURVIVES)


def _kind(row: dict[str, Any]) -> str:
    if row["theorem"] == "replay":
        return REPLAY
    kind = row.get("kind", DEFINITION if DEFINITION in row["theorem"] else "rate")
    return DEFINITION if kind == DEFINITION else BOUND


def same(run: dc.Run, right: dc.Run, rtol: float = 1e-13) -> bool:
    """Whether two runs are one up to rtol: every column of the trace, every iterate."""
    if (run.status, run.k, len(run.rows)) != (right.status, right.k, len(right.rows)):
        return False
    columns = [c for c in right.trace.columns if c != "seconds"]
    pairs = [(run.trace[c].to_numpy(), right.trace[c].to_numpy()) for c in columns]
    points = ("x", "x_next", "x_avg", "x_best", "x_selected")
    pairs += [(getattr(run, p), getattr(right, p)) for p in points if getattr(right, p) is not None]
    return all(np.allclose(a, b, rtol=rtol, atol=rtol * max(1e-300, np.abs(b).max()), equal_nan=True) for a, b in pairs)


def tried(name: str, chosen: tuple[Fault, ...]) -> Iterator[tuple[Fault, str]]:
    """What becomes of each fault: by the first trial that refutes it; EQUIVALENT where every run is the right one.

    The compiler makes each fault a loop of its own, which may round otherwise at k = 0; in 300 steps that grows. So a
    fault of k = 0 alone is EQUIVALENT as well where its first steps are the right ones and the others nearly are.
    """
    method = faulty(name, chosen)

    def solved(trial: int, number: int, steps: int = STEPS) -> dc.Run:
        problem, hyper = trials(name)[trial]
        with np.errstate(all="ignore"):
            return dc.solve(problem, method, steps=steps, fault=number, **hyper)

    right = functools.cache(lambda trial, steps=STEPS: solved(trial, 0, steps))

    def nearly_right(run: dc.Run, trial: int, number: int) -> bool:
        return same(run, right(trial), rtol=1e-6) and same(solved(trial, number, EARLY), right(trial, EARLY))

    for number, fault in enumerate(chosen, 1):
        outcome = EQUIVALENT
        for trial, (problem, _) in enumerate(trials(name)):
            expected = right(trial)
            try:
                run = solved(trial, number)
            except (ValueError, ArithmeticError):  # the root of a negative number, where the step runs in Python
                outcome = STATUS
                break
            if same(run, expected) or (fault.last == 0 and nearly_right(run, trial, number)):
                continue
            outcome = refuted_by(run, problem)
            if outcome != SURVIVES:
                break
        yield fault, outcome


def main(names: list[str]) -> None:
    """Print the table, and the survivors after it."""
    outcomes = (EQUIVALENT, STATUS, BOUND, DEFINITION, REPLAY, SURVIVES)
    print(f"{'method':<28}{'faults':>8}" + "".join(f"{o:>15}" for o in outcomes))
    totals, survivors = dict.fromkeys(outcomes, 0), []
    for name in names or dc.methods():
        found = list(tried(name, faults(name)))
        counts = {o: sum(outcome == o for _, outcome in found) for o in outcomes}
        totals = {o: totals[o] + counts[o] for o in outcomes}
        print(f"{name:<28}{len(found):>8}" + "".join(f"{counts[o]:>15}" for o in outcomes), flush=True)
        survivors += [f"{name}: {fault}" for fault, outcome in found if outcome == SURVIVES]
    print(f"{'all':<28}{sum(totals.values()):>8}" + "".join(f"{totals[o]:>15}" for o in outcomes))
    print(f"sgd with Nesterov's momentum, by problem: {', '.join(under_sgds_claims())}")
    print(*survivors, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])

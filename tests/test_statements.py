"""A theorem is one thing: how it is made of a function, what it needs of a method, and the page of all of them."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex.theory.judge import judge
from dadapt_convex.theory.library import families, stated_in
from dadapt_convex.theory.page import page

ROOT = Path(__file__).resolve().parents[1]
PROBLEM = problems.norm2(4)

# ---------------------------------------------------------------------------------------------------------
# Made of a function


@dc.theorem("f(x_avg) - f* <= D G", source="own", kind="rate", iterate="average")
def within_D_G(case):
    """By convexity, and with equal weights:

    gap <= <g, x - x*> <= G D
    """  # noqa: D415
    return dc.gap_sides(case, case.D * case.G)


def test_a_theorem_is_made_of_a_function_and_its_docstring():
    assert isinstance(within_D_G, dc.Theorem)
    assert within_D_G.name == "within_D_G"
    assert within_D_G.statement == "f(x_avg) - f* <= D G"
    assert (within_D_G.source, within_D_G.kind, within_D_G.iterate) == ("own", "rate", "average")
    assert within_D_G.proof == "By convexity, and with equal weights:\n\n    gap <= <g, x - x*> <= G D"


def test_it_is_checked_like_one_that_is_written_out():
    written_out = dc.Theorem(
        name="written out", statement="", source="own", sides=lambda c: dc.gap_sides(c, c.D * c.G), kind="rate"
    )
    run = dc.solve(PROBLEM, "subgradient", steps=50)
    found = dc.check(run, PROBLEM.optimum(), theorems=[within_D_G, written_out]).set_index("theorem")
    assert found.loc["within_D_G", "verdict"] in ("VERIFIED", "TIGHT")
    assert found.loc["within_D_G"].drop("arithmetic").tolist() == found.loc["written out"].drop("arithmetic").tolist()


def test_without_a_docstring_there_is_no_proof():
    assert dc.theorem("f* <= f", source="own")(lambda_like).proof == ""


def lambda_like(case):
    return dc.Sides(case.f_star, case.f)


@pytest.mark.parametrize("wrong", [5, None, functools.partial(lambda_like), within_D_G])
def test_a_theorem_is_made_of_a_plain_function_alone(wrong):
    with pytest.raises(ValueError, match="theorem takes a plain Python function, written with def"):
        dc.theorem("f* <= f", source="own")(wrong)


def test_a_misspelt_attribute_of_a_theorem_is_named():
    with pytest.raises(TypeError, match="assumption"):
        dc.theorem("f* <= f", source="own", assumption=())(lambda_like)


# ---------------------------------------------------------------------------------------------------------
# The library

LIBRARY = [(family, theorem) for family in families() for theorem in stated_in(family)]


@pytest.mark.parametrize(("family", "theorem"), LIBRARY, ids=[theorem.name for _, theorem in LIBRARY])
def test_a_theorem_of_the_library_is_complete(family, theorem):
    assert getattr(family, theorem.name) is theorem
    assert dc.theorems()[theorem.name] is theorem
    assert theorem.statement
    assert theorem.source
    assert theorem.proof or theorem.kind == "definition"
    assert (theorem.statement + theorem.source + theorem.proof).isascii()
    for says in (*theorem.assumptions, theorem.rows):
        assert says is None or inspect.getdoc(says)


def test_the_library_holds_each_theorem_once():
    assert [theorem.name for _, theorem in LIBRARY] == list(dc.theorems())
    assert len({theorem.name for _, theorem in LIBRARY}) == len(LIBRARY)


# ---------------------------------------------------------------------------------------------------------
# What a theorem needs is found by trying it


@functools.cache
def short_run(name):
    hyper = {"lr": 0.1} if "lr" in dc.get_method(name).parameters else {}
    return dc.solve(PROBLEM, name, steps=20, **hyper)


def renamed(method, name):
    """The method with one state or hyper-parameter under another name; None where an option speaks of it."""
    other = f"{name}_" if name != "schedule" else None
    names = {
        field: tuple(other if n == name else n for n in getattr(method, field)) for field in ("scalars", "vectors")
    }
    hyper = tuple(replace(h, name=other) if h.name == name else h for h in method.hyper) if other else method.hyper
    select = None if method.select == name else method.select
    by_numbers = dc.step(method.step.python)  # its State and Hyper would insist on their names
    try:
        return replace(method, step=by_numbers, hyper=hyper, select=select, **names)
    except ValueError:
        return None


def without(run, name):
    """The run of the renamed method."""
    rename = lambda mapping: {f"{name}_" if key == name else key: value for key, value in mapping.items()}  # noqa: E731
    return replace(
        run, method=renamed(run.method, name), hyper=rename(run.hyper), rows=[rename(row) for row in run.rows],
        errors=[rename(row) for row in run.errors], columns=[f"{name}_" if c == name else c for c in run.columns],
    )  # fmt: skip


NAMES = [
    (method, name)
    for method in dc.methods()
    for name in (*dc.get_method(method).scalars, *dc.get_method(method).vectors, *dc.get_method(method).parameters)
    if name not in ("x0", "schedule") and renamed(dc.get_method(method), name)
]


@pytest.mark.parametrize(("method", "name"), one_in(11, NAMES))
def test_a_claim_that_is_not_refused_before_the_run_can_be_checked_after_it(method, name):
    lacking = renamed(dc.get_method(method), name)
    run, refused = without(short_run(method), name), set()
    for claim in lacking.claims:
        if message := refusal(replace(lacking, claims=(claim,))):
            assert message.startswith(f"{method} claims {claim}, which needs {name}: no state or hyper-parameter")
            refused.add(claim)
        else:
            judge(dc.theorems()[claim], run, PROBLEM.optimum())
    assert f"definition_{method}" in refused  # which reads or compares all there is


def refusal(method):
    """What solve says of a method's claims before the run."""
    try:
        dc.solve(PROBLEM, method, steps=1, **{"lr": 0.1} if "lr" in method.parameters else {})
    except ValueError as error:
        return str(error)
    return ""


def test_both_branches_of_an_option_are_tried():
    def sides(case):
        return dc.Sides(case.f_star, case.f_avg + (case.spare if case.hyper["step"] == "modified" else 0.0))

    claim = dc.Theorem(name="by option", statement="", source="own", sides=sides)
    method = replace(dc.get_method("dadapt_dual_averaging"), claims=(claim,))
    with pytest.raises(ValueError, match="claims by option, which needs spare: no state or hyper-parameter"):
        dc.solve(PROBLEM, method, steps=5)


def test_all_that_is_missing_is_named_at_once():
    @dc.theorem("", source="own", assumptions=(lambda run, optimum: run.hyper["first"] and None,))
    def wants_much(case):
        return dc.Sides(case.second, case.hyper["third"] * case.fourth)

    with pytest.raises(ValueError, match="claims wants_much, which needs first, fourth, second, third: no state"):
        dc.solve(PROBLEM, replace(dc.get_method("polyak"), claims=(wants_much,)), steps=5)


def test_needs_that_are_declared_are_held_too():
    claim = replace(within_D_G, name="declared", needs=("spare",))
    with pytest.raises(ValueError, match="polyak claims declared, which needs spare"):
        dc.solve(PROBLEM, replace(dc.get_method("polyak"), claims=(claim,)), steps=5)


def test_what_a_theorem_raises_on_made_up_numbers_refuses_no_claim():
    shift = {PROBLEM.name: 1.0}

    @dc.theorem("f* <= f + 1", source="own")
    def of_real_runs(case):
        return dc.Sides(case.f_star, case.f + shift[case.run.problem])

    method = replace(dc.get_method("polyak"), claims=(of_real_runs,))
    found = dc.check(dc.solve(PROBLEM, method, steps=50), PROBLEM.optimum()).set_index("theorem")
    assert found.loc["of_real_runs", "verdict"] == "VERIFIED"


# ---------------------------------------------------------------------------------------------------------
# The page


def test_the_page_of_all_theorems_is_up_to_date():
    assert (ROOT / "docs" / "theorems.md").read_text("utf-8") == page(), "dadapt list --theorems > docs/theorems.md"


def test_the_page_has_every_theorem_under_its_name_and_every_link_has_a_heading():
    text = page()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert set(dc.theorems()) <= set(headings)
    fragments = {"".join(c for c in h.lower().replace(" ", "-") if c.isalnum() or c in "-_") for h in headings}
    assert set(re.findall(r"\(#([^)]*)\)", text)) <= fragments
    assert len(fragments) == len(headings)


def test_mathematics_on_the_page_stands_in_code_font():
    """Everything with an index, a power, a norm or a relation; the names of methods are text."""
    prose = [line for line in page().splitlines() if not line.startswith(("    ", "#", "- ", "  - "))]
    text = re.sub(r"`[^`]*`", "", "\n".join(prose).replace("*Proof.* ", ""))
    for method in sorted(dc.methods(), key=len, reverse=True):
        text = text.replace(method, "")
    assert re.findall(r".*[_^{}<>|=*`].*", text) == []


def test_a_page_of_some_theorems_has_their_entries_alone():
    text = page(["D3", "gd_D1"])
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["D3", "gd_D1"]
    assert "Contents" not in text

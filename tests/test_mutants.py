"""No wrong method survives: every line of every step is broken, and each variant is refuted.

A sample by default; DADAPT_EXHAUSTIVE=1 tries every variant. `python -m tests.mutants` prints the table.
"""

from __future__ import annotations

import mutants
import numpy as np
import pytest
from exhaustive import EXHAUSTIVE

import dadapt_convex as dc

EVERY = 37  # prime, so that the sample meets every kind of fault
# Compiling a method's faults takes seconds.
SAMPLED = dc.methods() if EXHAUSTIVE else ["polyak", "dadapt_dual_averaging"]


def chosen(name):
    found = mutants.faults(name)
    return found if EXHAUSTIVE else found[dc.methods().index(name) :: EVERY]


@pytest.mark.parametrize("name", SAMPLED)
def test_every_wrong_variant_is_refuted(name):
    outcomes = list(mutants.tried(name, chosen(name)))
    assert not [str(fault) for fault, outcome in outcomes if outcome == mutants.SURVIVES]
    if EXHAUSTIVE:  # at k = 0 much is zero; later few faults may change nothing
        late = [outcome for fault, outcome in outcomes if fault.first == mutants.FROM]
        assert late.count(mutants.EQUIVALENT) < len(late) / 3


def test_nesterovs_momentum_is_refuted_under_the_claims_of_sgd():
    assert set(mutants.under_sgds_claims()) <= {mutants.BOUND, mutants.DEFINITION, mutants.REPLAY}


@pytest.mark.parametrize("name", SAMPLED)
def test_without_a_fault_the_step_is_the_methods_own(name):
    problem, hyper = mutants.trials(name)[0]
    right, run = (dc.solve(problem, m, steps=50, **hyper) for m in (name, mutants.faulty(name, chosen(name))))
    # the same operations, compiled in another order
    np.testing.assert_allclose(run.x_next, right.x_next, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(run.trace["f_avg"], right.trace["f_avg"], rtol=1e-10, atol=1e-10)
    assert mutants.refuted_by(run, problem) == mutants.SURVIVES


def test_faults_act_when_they_say_they_do():
    """Seen on the weights of adagrad_norm, which are 1."""
    found = tuple(
        fault
        for fault in mutants.faults("adagrad_norm")
        if fault.text.startswith("return hyper.schedule: ") and " times " in fault.text
    )
    method, (problem, hyper) = mutants.faulty("adagrad_norm", found), mutants.trials("adagrad_norm")[0]
    k = np.arange(mutants.STEPS)
    assert found
    for number, fault in enumerate(found, 1):
        if fault.factor < 0:
            continue  # a status, as no weight is negative
        run = dc.solve(problem, method, steps=mutants.STEPS, checkpoints="all", fault=number, **hyper)
        wrong = (k >= fault.first) & (k <= fault.last)
        expected = np.cumsum(np.where(wrong, fault.factor, 1.0))
        np.testing.assert_allclose(run.trace["weight_sum"], expected, rtol=1e-12)


def test_every_statement_of_every_step_has_a_fault_at_the_start_and_one_later():
    for name in dc.methods():
        found = mutants.faults(name)
        for statement in mutants.statements(name):
            begun = {fault.first for fault in found if fault.text.startswith(f"{statement}: ")}
            assert begun >= {0, mutants.FROM}, (name, statement)

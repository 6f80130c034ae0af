"""Every built-in method written once more, with knobs: what a slip of the pen would change is a hyper-parameter.

A step here is that of the method's own file, line by line, and a knob stands wherever a test breaks it: a factor (1
leaves the line as it is), a flag, or a choice. With every knob at its default the step is the method. `METHODS` holds
the variants by the names of the methods; state and claims are those of the method, and a broken method is
dc.solve(problem, METHODS[name], knob=value).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy import inf, sqrt

import dadapt_convex as dc
from dadapt_convex.methods import (
    adagrad,
    adagrad_norm,
    adagrad_norm_dual_averaging,
    adam,
    dadapt_adagrad,
    dadapt_adam,
    dadapt_dual_averaging,
    dadapt_gradient_descent,
    dadapt_sgd,
    dual_averaging,
    polyak,
    prodigy_dual_averaging,
    sgd,
    subgradient,
    subgradient_last_iterate,
)
from dadapt_convex.methods.dadapt_sgd import grow
from dadapt_convex.methods.dual_averaging import add_gradient, set_gamma
from dadapt_convex.vector import move_from


def factor(meaning: str) -> dc.Real:
    """A knob whose value 1 leaves a number as it is."""
    return dc.Real(meaning=f"the factor of {meaning}", default=1.0)


D_FALLS = dc.Flag(meaning="d_{k+1} = d_hat_{k+1}, without the maximum")
D_FACTOR = factor("D")
D_HAT_FACTOR = factor("d_hat")
FIRST_G2 = factor("||g_0||^2 in S")
FROM_X = dc.Flag(meaning="x_k in place of x_0")
GAMMA_K_IN_X = dc.Flag(meaning="gamma_k in place of gamma_{k+1} in x")
G2_SHARE = factor("G^2 beside S")
MOVE = factor("the way from x_k to x_{k+1}")
NO_ROOT = dc.Flag(meaning="the square root is left out")
NO_SHARE_IN_M = dc.Flag(meaning="1 - beta1 is left out of m")
SCHEDULE_USE = dc.Choice(
    meaning="how often lambda_k holds the schedule", options=("once", "twice", "never"), default="once"
)


@dc.helper
def scheduled(hyper: Any) -> float:
    """The factor of lambda_k."""
    if hyper.schedule_use_is_never:
        return 1.0
    return hyper.schedule * hyper.schedule if hyper.schedule_use_is_twice else hyper.schedule


@dc.helper
def next_d(d: float, d_hat: float, growth_rate: float, falls: bool) -> float:
    """d_{k+1}."""
    return d_hat if falls else grow(d, d_hat, growth_rate)


# ---------------------------------------------------------------------------------------------------------
# Dual averaging


class DadaptDualAveraging(dadapt_dual_averaging.Hyper):
    d_hat_factor = D_HAT_FACTOR
    d_hat_gamma_k = dc.Flag(meaning="gamma_k in place of gamma_{k+1} in d_hat")
    gamma_factor = factor("gamma_{k+1}")
    gamma_0_factor = factor("gamma_0 of the plain step")
    gamma_0_plain = dc.Flag(meaning="gamma_0 of the plain step in the modified one")
    gamma_k_in_x = GAMMA_K_IN_X
    no_root = NO_ROOT
    from_x = FROM_X
    G2_share = G2_SHARE
    G_unsquared = dc.Flag(meaning="G in place of G^2")
    sums_late = dc.Flag(meaning="||g_0||^2 is left out of the sums")
    first_g2 = FIRST_G2
    S_factor = factor("||g_k||^2 in S")
    s_late = dc.Flag(meaning="g_0 is left out of s")
    d_falls = D_FALLS
    first_selected = dc.Flag(meaning="the average after the first step is selected")
    weights = dc.Choice(
        meaning="the weight of x_k", options=("lam", "d_squared", "not_the_first", "d_next"), default="lam"
    )
    schedule_use = SCHEDULE_USE


@dc.step(dadapt_dual_averaging.State, DadaptDualAveraging)
def dadapt_dual_averaging_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: dadapt_dual_averaging.State,
    hyper: DadaptDualAveraging,
) -> float:  # fmt: skip
    G2 = hyper.G2_share * (hyper.G if hyper.G_unsquared else hyper.G * hyper.G) if hyper.step_is_modified else 0.0
    gamma = state.gamma
    if k == 0:
        plain = hyper.gamma_0_plain or not hyper.step_is_modified
        gamma = hyper.gamma_0_factor / sqrt(g2) if plain else 1.0 / hyper.G

    d = state.d
    lam = d * scheduled(hyper)
    lam_in_s = 0.0 if hyper.s_late and k == 0 else lam
    s_norm2 = add_gradient(state, lam_in_s, gamma, 0.0 if hyper.sums_late and k == 0 else g2, g)
    s_norm = sqrt(s_norm2)
    state._S += (hyper.first_g2 if k == 0 else 1.0) * hyper.S_factor * g2
    gamma_next = hyper.gamma_factor / ((G2 + state._S) if hyper.no_root else sqrt(G2 + state._S))
    set_gamma(state, gamma, gamma_next, s_norm2)

    if s_norm > 0.0:
        if hyper.option_is_I:
            gamma_in_d = gamma if hyper.d_hat_gamma_k else gamma_next
            state.d_hat = hyper.d_hat_factor * (gamma_in_d * s_norm2 - state.sum_gamma_lambda2_g2) / (2.0 * s_norm)
        else:
            state.d_hat = hyper.d_hat_factor * state.sum_gamma_lambda_gs / s_norm
    state.d = next_d(d, state.d_hat, inf, hyper.d_falls)
    move_from(x if hyper.from_x else state.x0, gamma if hyper.gamma_k_in_x else gamma_next, state.s, x_next)

    state.s_norm = s_norm
    state._sum_lambda += lam
    state.d_over_sum_d = state.d / state._sum_lambda
    if hyper.first_selected and k > 0:
        state.d_over_sum_d += 1e9
    if hyper.weights_is_d_squared:
        return d * d
    if hyper.weights_is_not_the_first:
        return d if k > 0 else 0.0
    return state.d if hyper.weights_is_d_next else lam


class ProdigyDualAveraging(prodigy_dual_averaging.Hyper):
    weights = dc.Choice(
        meaning="the weight of x_k, in s and in the average", options=("d_squared", "d", "d_next_squared"),
        default="d_squared",
    )  # fmt: skip
    d_hat_factor = D_HAT_FACTOR
    d_falls = D_FALLS
    d_k_in_gamma = dc.Flag(meaning="d_k in place of d_{k+1} in gamma_{k+1}")
    G2_share = G2_SHARE
    T_factor = factor("the sum beside d^2 G^2")
    T_without_d = dc.Flag(meaning="||g_k||^2 in place of d_k^2 ||g_k||^2 in this sum")
    gamma_k_in_x = GAMMA_K_IN_X
    from_x = FROM_X
    schedule_use = SCHEDULE_USE


@dc.step(prodigy_dual_averaging.State, ProdigyDualAveraging)
def prodigy_dual_averaging_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: prodigy_dual_averaging.State,
    hyper: ProdigyDualAveraging,
) -> float:  # fmt: skip
    d = state.d
    d2 = d * d
    lam = (d if hyper.weights_is_d else d2) * scheduled(hyper)
    gamma = state.gamma
    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    s_norm = sqrt(s_norm2)
    if s_norm > 0.0:
        state.d_hat = hyper.d_hat_factor * state.sum_gamma_lambda_gs / s_norm
    state.d = next_d(d, state.d_hat, inf, hyper.d_falls)

    state.sum_d2_g2 += hyper.T_factor * (1.0 if hyper.T_without_d else d2) * g2
    dG = (d if hyper.d_k_in_gamma else state.d) * hyper.G
    gamma_next = 1.0 / sqrt(hyper.G2_share * (dG * dG) + state.sum_d2_g2)
    set_gamma(state, gamma, gamma_next, s_norm2)
    move_from(x if hyper.from_x else state.x0, gamma if hyper.gamma_k_in_x else gamma_next, state.s, x_next)

    state.s_norm = s_norm
    state._sum_lambda += lam
    state.d2_over_sum_d2 = state.d * state.d / state._sum_lambda
    return state.d * state.d if hyper.weights_is_d_next_squared else lam


class DualAveraging(dual_averaging.Hyper):
    D_factor = D_FACTOR
    gamma_k_in_x = GAMMA_K_IN_X


@dc.step(dual_averaging.State, DualAveraging)
def dual_averaging_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: dual_averaging.State, hyper: DualAveraging
) -> float:
    lam = hyper.schedule
    D = hyper.D_factor * hyper.D
    gamma = D / (hyper.G * sqrt(2.0 * (k + 1)))
    gamma_next = D / (hyper.G * sqrt(2.0 * (k + 2)))

    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    set_gamma(state, gamma, gamma_next, s_norm2)
    move_from(state.x0, gamma if hyper.gamma_k_in_x else gamma_next, state.s, x_next)

    state.s_norm = sqrt(s_norm2)
    return lam


class AdaGradNormDualAveraging(adagrad_norm_dual_averaging.Hyper):
    D_factor = D_FACTOR
    first_g2 = FIRST_G2


@dc.step(adagrad_norm_dual_averaging.State, AdaGradNormDualAveraging)
def adagrad_norm_dual_averaging_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: adagrad_norm_dual_averaging.State,
    hyper: AdaGradNormDualAveraging,
) -> float:  # fmt: skip
    lam = hyper.schedule
    D = hyper.D_factor * hyper.D
    gamma = D / sqrt(g2) if k == 0 else state.gamma

    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    state._S += (hyper.first_g2 if k == 0 else 1.0) * g2
    set_gamma(state, gamma, D / sqrt(state._S), s_norm2)
    move_from(state.x0, state.gamma, state.s, x_next)

    state.s_norm = sqrt(s_norm2)
    return lam


# ---------------------------------------------------------------------------------------------------------
# Subgradient methods


class Subgradient(subgradient.Hyper):
    D_factor = D_FACTOR
    G_factor = factor("G")
    one_late = dc.Flag(meaning="1 / sqrt(k + 2) in place of 1 / sqrt(k + 1)")


@dc.step(subgradient.State, Subgradient)
def subgradient_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: subgradient.State, hyper: Subgradient
) -> float:
    D, G, N = hyper.D_factor * hyper.D, hyper.G_factor * hyper.G, hyper.N
    if hyper.one_late:
        D *= sqrt((k + 1.0) / (k + 2.0))
    state.h = hyper.schedule * (D / (G * sqrt(N)) if N > 0.0 else D / G)
    move_from(x, state.h, g, x_next)
    return state.h


class SubgradientLastIterate(subgradient_last_iterate.Hyper):
    D_factor = D_FACTOR
    to_one = dc.Flag(meaning="the steps decrease to 1 and not to 0")
    constant = dc.Flag(meaning="the steps are D / (G sqrt(N))")


@dc.step(subgradient_last_iterate.State, SubgradientLastIterate)
def subgradient_last_iterate_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: subgradient_last_iterate.State,
    hyper: SubgradientLastIterate,
) -> float:  # fmt: skip
    D, G, N = hyper.D_factor * hyper.D, hyper.G, hyper.N
    left = N - k if hyper.to_one else N - 1.0 - k
    state.h = hyper.schedule * D * (N if hyper.constant else max(left, 0.0)) / (G * N * sqrt(N))
    move_from(x, state.h, g, x_next)
    return 1.0


class AdaGradNorm(adagrad_norm.Hyper):
    first_g2 = FIRST_G2
    no_root = NO_ROOT


@dc.step(adagrad_norm.State, AdaGradNorm)
def adagrad_norm_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: adagrad_norm.State, hyper: AdaGradNorm
) -> float:
    state._S += (hyper.first_g2 if k == 0 else 1.0) * g2
    state.h = hyper.schedule * (hyper.eta / (state._S if hyper.no_root else sqrt(state._S)))
    move_from(x, state.h, g, x_next)
    return hyper.schedule


class Polyak(polyak.Hyper):
    h_factor = factor("h_k")


@dc.step(polyak.State, Polyak)
def polyak_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: polyak.State, hyper: Polyak
) -> float:  # fmt: skip
    gamma, gap = hyper.schedule, f - hyper.f_star
    h = hyper.h_factor * gamma * gap / g2 if g2 > 0.0 else 0.0
    move_from(x, h, g, x_next)

    state.h = h
    state.sum_gap2 += gap * gap
    state.sum_h += h
    state.sum_h_gap += (2.0 - gamma) * h * gap
    return gamma


class DadaptGradientDescent(dadapt_gradient_descent.Hyper):
    d_hat_factor = D_HAT_FACTOR
    d_hat_share = factor("d_hat in d")
    G2_share = G2_SHARE
    first_g2 = FIRST_G2
    move = MOVE
    gamma = factor("the step of dual averaging in the sums")
    d_falls = D_FALLS
    weights_d = dc.Flag(meaning="d_k is the weight of x_k")
    schedule_use = SCHEDULE_USE


@dc.step(dadapt_gradient_descent.State, DadaptGradientDescent)
def dadapt_gradient_descent_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: dadapt_gradient_descent.State,
    hyper: DadaptGradientDescent,
) -> float:  # fmt: skip
    d = state.d
    state._S += (hyper.first_g2 if k == 0 else 1.0) * g2
    G2 = hyper.G * hyper.G
    lam = d * scheduled(hyper) / sqrt(hyper.G2_share * G2 + state._S)
    s_norm2 = add_gradient(state, lam, hyper.gamma, g2, g)
    s_norm = sqrt(s_norm2)
    if s_norm > 0.0:
        state.d_hat = hyper.d_hat_factor * (s_norm2 - state.sum_gamma_lambda2_g2) / (2.0 * s_norm)
    state.d = next_d(d, hyper.d_hat_share * state.d_hat, hyper.growth_rate, hyper.d_falls)
    move_from(x, hyper.move * lam, g, x_next)

    state.s_norm = s_norm
    state.sum_g2_over += g2 / (G2 + state._S)
    return d if hyper.weights_d else lam


# ---------------------------------------------------------------------------------------------------------
# Methods in one pass over the parameters


class DadaptAdaGrad(dadapt_adagrad.Hyper):
    d_hat_factor = D_HAT_FACTOR
    A_next_in_sum = dc.Flag(meaning="A_{k+1} in place of A_k in the sum of d_hat")
    A_k_in_norm = dc.Flag(meaning="A_k in place of A_{k+1} in the norm of s")
    squares = factor("g_k^2 in a^2")
    first_squares = factor("g_0^2 in a^2")
    from_x = FROM_X
    s_factor = factor("lambda_k in s")
    d_falls = D_FALLS
    equal_weights = dc.Flag(meaning="the weight of x_k is 1")
    schedule_use = SCHEDULE_USE


@dc.step(dadapt_adagrad.State, DadaptAdaGrad)
def dadapt_adagrad_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: dadapt_adagrad.State, hyper: DadaptAdaGrad
) -> float:
    x0, s, a2 = state.x0, state.s, state.a2
    beta, w, eps, released = hyper.momentum, hyper.weight_decay, hyper.eps, hyper.convention_is_released
    squares = hyper.squares * (hyper.first_squares if k == 0 else 1.0)

    lam = state.d * (hyper.lr * scheduled(hyper))
    g_norm2 = gs = s_norm2 = s_norm1 = dA = a_norm1 = a_norm2 = moved2 = 0.0
    g_inf = state.g_inf
    for i in range(x.size):
        gi = g[i] + w * x[i]
        a_k = sqrt(a2[i]) + eps
        a2[i] += squares * gi * gi
        a_next = sqrt(a2[i]) + eps
        inverse_k = 1.0 / a_k if a_k > 0.0 else 0.0
        inverse_next = 1.0 / a_next if a_next > 0.0 else 0.0
        g_norm2 += gi * gi * (inverse_next if released or hyper.A_next_in_sum else inverse_k)
        gs += gi * s[i] * inverse_k
        s[i] += hyper.s_factor * lam * gi
        s_norm2 += s[i] * s[i] * (inverse_k if hyper.A_k_in_norm else inverse_next)
        s_norm1 += abs(s[i])
        dA += s[i] * s[i] * (inverse_next - inverse_k)
        a_norm1 += a_next
        a_norm2 += a2[i]
        g_inf = max(g_inf, abs(gi))
        move = s[i] * inverse_next
        moved2 += move * move
        x_next[i] = beta * x[i] + (1.0 - beta) * ((x[i] if hyper.from_x else x0[i]) - move)

    state.sum_lambda2_g2 += lam * lam * g_norm2
    if s_norm1 > 0.0:
        state.d_hat = hyper.d_hat_factor * (s_norm2 - state.sum_lambda2_g2) / (s_norm1 if released else 2.0 * s_norm1)
    state.d = next_d(state.d, state.d_hat, hyper.growth_rate, hyper.d_falls)

    state.sum_lambda_gs += lam * gs
    state.sum_dA_s2 += dA
    state.sum_g2 += g_norm2
    state.s_norm1 = s_norm1
    state.s_norm2 = s_norm2
    state.a_norm1 = a_norm1
    state.a_norm2 = a_norm2
    state.As_norm = sqrt(moved2)
    state.g_inf = g_inf
    if hyper.equal_weights:
        return 1.0
    return 0.0 if released else lam


class DadaptSGD(dadapt_sgd.Hyper):
    d_hat_factor = D_HAT_FACTOR
    s_next_in_sum = dc.Flag(meaning="s_{k+1} in place of s_k in the sum of d_hat")
    from_x = FROM_X
    exchanged = dc.Flag(meaning="1 - momentum in place of momentum")
    G_factor = factor("G")
    d_falls = D_FALLS
    schedule_use = SCHEDULE_USE


@dc.step(dadapt_sgd.State, DadaptSGD)
def dadapt_sgd_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: dadapt_sgd.State, hyper: DadaptSGD
) -> float:
    x0, s = state.x0, state.s
    beta, w = hyper.momentum, hyper.weight_decay
    if hyper.exchanged:
        beta = 1.0 - beta

    if state.G_first == 0.0:
        state.G_first = sqrt(g2) if hyper.convention_is_released else dadapt_sgd.norm_with_decay(g, w, x)
    G = hyper.G_factor * state.G_first
    lam = state.d * (hyper.lr * scheduled(hyper)) / G if G > 0.0 else 0.0
    gs = g2_decayed = s_norm2 = 0.0
    for i in range(x.size):
        gi = g[i] + w * x[i]
        gs += gi * (s[i] + lam * gi if hyper.s_next_in_sum else s[i])
        g2_decayed += gi * gi
        s[i] += lam * gi
        s_norm2 += s[i] * s[i]
        x_next[i] = beta * x[i] + (1.0 - beta) * ((x[i] if hyper.from_x else x0[i]) - s[i])

    state.sum_lambda_gs += lam * gs
    s_norm = sqrt(s_norm2)
    if s_norm > 0.0:
        state.d_hat = hyper.d_hat_factor * 2.0 * state.sum_lambda_gs / s_norm
    state.d = next_d(state.d, state.d_hat, hyper.growth_rate, hyper.d_falls)

    if k > 0:
        state.sum_lambda_df += lam * (state._f - f)
    state._f = f
    state.s_norm = s_norm
    state.sum_lambda2_g2 += lam * lam * g2_decayed
    return lam


class DadaptAdam(dadapt_adam.Hyper):
    s_next_in_r = dc.Flag(meaning="s_k + g_k in place of s_k in r")
    no_share_in_d_hat = dc.Flag(meaning="1 - b is left out of d_hat")
    rate_factor = factor("d_k")
    no_share_in_m = NO_SHARE_IN_M
    no_root = NO_ROOT
    move = MOVE
    d_falls = D_FALLS


@dc.helper
def adam_pass(
    released: bool, b: float, rate: float, added: float, kept: float, g: Any, x: Any, x_next: Any, state: Any,
    hyper: Any,
) -> tuple[float, float, float]:  # fmt: skip
    """As dadapt_adam.one_pass, with the knobs."""
    m, v, s = state.m, state.v, state.s
    (beta1, beta2), eps = hyper.betas, hyper.eps
    into_m, into_v, into_s = (1.0 - beta1) * rate, 1.0 - beta2, (1.0 - b) * rate
    if hyper.no_share_in_m:
        into_m = rate
    correlation = s_norm1 = moved2 = 0.0
    for i in range(x.size):
        gi = g[i] + added * x[i]
        if released:
            correlation += gi * s[i] / (sqrt(v[i]) + eps)
        m[i] = beta1 * m[i] + into_m * gi
        v[i] = beta2 * v[i] + into_v * (gi * gi)
        inverse = 1.0 / ((v[i] if hyper.no_root else sqrt(v[i])) + eps)
        if not released:
            correlation += gi * (s[i] + gi if hyper.s_next_in_r else s[i]) * inverse
        move = m[i] * inverse
        x_next[i] = kept * x[i] - hyper.move * move
        moved2 += move * move
        s[i] = b * s[i] + into_s * gi
        s_norm1 += abs(s[i])
    return correlation, s_norm1, moved2


@dc.step(dadapt_adam.State, DadaptAdam)
def dadapt_adam_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: dadapt_adam.State, hyper: DadaptAdam
) -> float:
    beta1, beta2 = hyper.betas
    d, r = state.d, state.r
    b = sqrt(beta2)
    rate = hyper.rate_factor * d * (hyper.lr * hyper.schedule)
    if hyper.bias_correction:
        rate *= sqrt(1.0 - beta2 ** (k + 1.0)) / (1.0 - beta1 ** (k + 1.0))
    added, kept = (0.0, 1.0 - rate * hyper.weight_decay) if hyper.decouple else (hyper.weight_decay, 1.0)
    if hyper.convention_is_released:
        correlation, s_norm1, moved2 = adam_pass(True, b, rate, added, kept, g, x, x_next, state, hyper)
    else:
        correlation, s_norm1, moved2 = adam_pass(False, b, rate, added, kept, g, x, x_next, state, hyper)
    state.r = b * r + (1.0 - b) * rate * correlation
    if s_norm1 > 0.0:
        state.d_hat = state.r / (s_norm1 if hyper.no_share_in_d_hat else (1.0 - b) * s_norm1)
    state.d = next_d(d, state.d_hat, hyper.growth_rate, hyper.d_falls)

    state.s_norm1 = s_norm1
    state.step_norm = sqrt(moved2)
    return 0.0


class SGD(sgd.Hyper):
    move = MOVE
    no_decay = dc.Flag(meaning="m without the factor momentum")


@dc.step(sgd.State, SGD)
def sgd_step(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: sgd.State, hyper: SGD) -> float:
    m = state.m
    beta, w = 1.0 if hyper.no_decay else hyper.momentum, hyper.weight_decay

    h = hyper.lr * hyper.schedule
    for i in range(x.size):
        m[i] = beta * m[i] + (g[i] + w * x[i])
        x_next[i] = x[i] - hyper.move * h * m[i]

    if k == 0:
        state.f_first = f
    return h


class AdaGrad(adagrad.Hyper):
    move = MOVE


@dc.step(adagrad.State, AdaGrad)
def adagrad_step(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: adagrad.State, hyper: AdaGrad
) -> float:
    x0, a2 = state.x0, state.a2
    eps, w = hyper.eps, hyper.weight_decay

    rate = hyper.lr * hyper.schedule
    a_norm1, reach = 0.0, state.x_reach
    for i in range(x.size):
        gi = g[i] + w * x[i]
        a2[i] += gi * gi
        a = sqrt(a2[i]) + eps
        reach = max(reach, abs(x[i] - x0[i]))
        x_next[i] = x[i] - hyper.move * rate * gi / a
        a_norm1 += a

    state.a_norm1 = a_norm1
    state.x_reach = reach
    return 1.0


class Adam(adam.Hyper):
    no_correction_of_v = dc.Flag(meaning="v_hat = v_{k+1}")
    no_share_in_m = NO_SHARE_IN_M


@dc.step(adam.State, Adam)
def adam_step(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: adam.State, hyper: Adam) -> float:
    m, v = state.m, state.v
    (beta1, beta2), eps = hyper.betas, hyper.eps

    rate = hyper.lr * hyper.schedule
    added, kept = (0.0, 1.0 - rate * hyper.weight_decay) if hyper.decouple else (hyper.weight_decay, 1.0)
    t = k + 1.0
    along = rate / (1.0 - beta1**t)
    root = 1.0 if hyper.no_correction_of_v else 1.0 / sqrt(1.0 - beta2**t)
    into_m = 1.0 if hyper.no_share_in_m else 1.0 - beta1
    moved2 = 0.0
    for i in range(x.size):
        gi = g[i] + added * x[i]
        m[i] = beta1 * m[i] + into_m * gi
        v[i] = beta2 * v[i] + (1.0 - beta2) * (gi * gi)
        move = along * m[i] / (sqrt(v[i]) * root + eps)
        x_next[i] = kept * x[i] - move
        moved2 += move * move

    state.step_norm = sqrt(moved2)
    return 0.0


STEPS = {
    "adagrad": adagrad_step,
    "adagrad_norm": adagrad_norm_step,
    "adagrad_norm_dual_averaging": adagrad_norm_dual_averaging_step,
    "adam": adam_step,
    "dadapt_adagrad": dadapt_adagrad_step,
    "dadapt_adam": dadapt_adam_step,
    "dadapt_dual_averaging": dadapt_dual_averaging_step,
    "prodigy_dual_averaging": prodigy_dual_averaging_step,
    "dadapt_gradient_descent": dadapt_gradient_descent_step,
    "dadapt_sgd": dadapt_sgd_step,
    "dual_averaging": dual_averaging_step,
    "polyak": polyak_step,
    "sgd": sgd_step,
    "subgradient": subgradient_step,
    "subgradient_last_iterate": subgradient_last_iterate_step,
}
METHODS = {name: replace(dc.get_method(name), step=step) for name, step in STEPS.items()}

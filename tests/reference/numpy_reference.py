"""The stochastic and the coordinate-wise methods in plain NumPy, line for line as published.

`dadapt_*` follow the paper [1], Algorithms 2 to 5; `released_*` follow the authors' package dadaptation 3.2, see
RELEASED.md; `sgd`, `adagrad` and `adam` are the baselines. Written to be read beside their sources and to be compared
with, not to be fast: nothing of the package is used.

Every method is called as method(gradient, x0, steps, **hyper):

gradient : gradient(k, x) -> g, k = 0, 1, ...
    g of the shape of x; not modified.
x0 : float64 array of any shape
    Norms and inner products run over all its entries; not modified.
steps : int
    Number of gradients used, k = 0 .. steps - 1.
gamma : float > 0, or (steps,) array of them
    The schedule gamma_k, base 1 for D-Adaptation and base the learning rate for the baselines.
d0, growth_rate, weight_decay
    d_0; d_{k+1} <= growth_rate d_k; weight_decay w adds w x to g (coupled), with `decouple` it shrinks x instead.

It returns a `Trajectory`. The methods of the paper have no guards, as there: g_0 = 0 or s_{k+1} = 0 raises
ZeroDivisionError. The released ones do what the package does.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Trajectory(NamedTuple):
    """What a method did: x_k and d_k for k = 0 .. steps, d_hat_{k+1} for k = 0 .. steps - 1.

    `weights[k]` is the weight of x_k in the averaged output, None where the method answers with its last iterate.
    Baselines have neither d nor d_hat.
    """

    x: np.ndarray
    d: np.ndarray | None = None
    d_hat: np.ndarray | None = None
    weights: np.ndarray | None = None


def inner(u, v):
    """<u, v> over all entries, as a Python float: its division by zero raises."""
    return float(np.sum(u * v))


def norm(u):
    return math.sqrt(inner(u, u))


def norm1(u):
    return float(np.sum(np.abs(u)))


def grown(d, d_hat, growth_rate):
    """max(d, d_hat), where growth_rate holds d_hat back."""
    return max(d, min(d_hat, growth_rate * d))


# ---------------------------------------------------------------------------------------------------------------------
# The paper
# ---------------------------------------------------------------------------------------------------------------------


def dadapt_gradient_descent(gradient, x0, steps, *, G, gamma=1.0, d0=1e-6, growth_rate=math.inf):
    """Gradient descent with D-Adaptation [1, Algorithm 2]; the output is weighted by lambda_k.

    The paper has gamma_k = 1.
    """
    gamma = np.broadcast_to(gamma, steps)
    x, s, d = [x0.copy()], np.zeros_like(x0), [d0]
    S, sum_lambda2_g2, d_hat, weights = 0.0, 0.0, [], []
    for k in range(steps):
        g = gradient(k, x[k])
        S += inner(g, g)
        lam = d[k] * float(gamma[k]) / math.sqrt(G**2 + S)
        s = s + lam * g
        sum_lambda2_g2 += lam**2 * inner(g, g)
        d_hat.append((inner(s, s) - sum_lambda2_g2) / (2 * norm(s)))
        d.append(grown(d[k], d_hat[k], growth_rate))
        x.append(x[k] - lam * g)
        weights.append(lam)
    return Trajectory(np.array(x), np.array(d), np.array(d_hat), np.array(weights))


def dadapt_adagrad(
    gradient, x0, steps, *, G_inf, gamma=1.0, momentum=0.0, d0=1e-6, growth_rate=math.inf, weight_decay=0.0
):
    """AdaGrad with D-Adaptation, coordinate-wise [1, Algorithm 3]; the output is weighted by d_k gamma_k.

    The paper has gamma_k = 1, no momentum and no weight decay.
    """
    gamma = np.broadcast_to(gamma, steps)
    x, s, d = [x0.copy()], np.zeros_like(x0), [d0]
    a2 = np.full_like(x0, G_inf**2)
    sum_d2_g2, d_hat, weights = 0.0, [], []
    for k in range(steps):
        g = gradient(k, x[k]) + weight_decay * x[k]
        lam = d[k] * float(gamma[k])
        s = s + lam * g
        sum_d2_g2 += lam**2 * inner(g, g / np.sqrt(a2))  # A_k: before g_k is added
        a2 = a2 + g**2
        A = np.sqrt(a2)
        d_hat.append((inner(s, s / A) - sum_d2_g2) / (2 * norm1(s)))
        d.append(grown(d[k], d_hat[k], growth_rate))
        x.append(momentum * x[k] + (1 - momentum) * (x0 - s / A))
        weights.append(lam)
    return Trajectory(np.array(x), np.array(d), np.array(d_hat), np.array(weights))


def dadapt_sgd(gradient, x0, steps, *, gamma=1.0, momentum=0.9, d0=1e-6, growth_rate=math.inf, weight_decay=0.0):
    """SGD with D-Adaptation and momentum by primal averaging [1, Algorithm 4]."""
    gamma = np.broadcast_to(gamma, steps)
    x, z, s, d = [x0.copy()], x0.copy(), np.zeros_like(x0), [d0]
    sum_lambda_gs, d_hat = 0.0, []
    for k in range(steps):
        g = gradient(k, x[k]) + weight_decay * x[k]
        if k == 0:
            G = norm(g)
        lam = d[k] * float(gamma[k]) / G
        sum_lambda_gs += lam * inner(g, s)  # s_k
        s = s + lam * g
        z = z - lam * g
        x.append(momentum * x[k] + (1 - momentum) * z)
        d_hat.append(2 * sum_lambda_gs / norm(s))  # s_{k+1}
        d.append(grown(d[k], d_hat[k], growth_rate))
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


def dadapt_adam(
    gradient, x0, steps, *, gamma=1.0, betas=(0.9, 0.999), eps=1e-8, bias_correction=False, d0=1e-6,
    growth_rate=math.inf, weight_decay=0.0, decouple=False,
):  # fmt: skip
    """Adam with D-Adaptation [1, Algorithm 5].

    Weight decay and bias correction are not the paper's: they stand where the released package has them.
    """
    gamma = np.broadcast_to(gamma, steps)
    beta1, beta2 = betas
    b = math.sqrt(beta2)
    x, d = [x0.copy()], [d0]
    m, v, s, r, d_hat = np.zeros_like(x0), np.zeros_like(x0), np.zeros_like(x0), 0.0, []
    for k in range(steps):
        g = gradient(k, x[k]) + (0.0 if decouple else weight_decay) * x[k]
        lam = d[k] * float(gamma[k])
        if bias_correction:
            lam *= math.sqrt(1 - beta2 ** (k + 1)) / (1 - beta1 ** (k + 1))
        m = beta1 * m + (1 - beta1) * lam * g
        v = beta2 * v + (1 - beta2) * g**2
        A = np.sqrt(v) + eps
        r = b * r + (1 - b) * lam * inner(g, s / A)  # s_k, but A_{k+1}
        s = b * s + (1 - b) * lam * g
        x.append((1 - (lam * weight_decay if decouple else 0.0)) * x[k] - m / A)
        d_hat.append(r / ((1 - b) * norm1(s)))
        d.append(grown(d[k], d_hat[k], growth_rate))
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


# ---------------------------------------------------------------------------------------------------------------------
# The released package; every line that differs from the paper carries a number of RELEASED.md
# ---------------------------------------------------------------------------------------------------------------------


def released_adagrad(
    gradient, x0, steps, *, gamma=1.0, momentum=0.0, eps=1e-6, d0=1e-6, growth_rate=math.inf, weight_decay=0.0
):
    """DAdaptAdaGrad of dadaptation 3.2, dense gradients."""
    gamma = np.broadcast_to(gamma, steps)
    x, s, d = [x0.copy()], np.zeros_like(x0), [d0]
    a2 = np.full_like(x0, 1e-6)  # A1: not G_inf^2
    s_A2, s_1, sum_d2_g2, d_hat = 0.0, 0.0, 0.0, []  # ||s||^2_{A^-1} and ||s||_1 are carried along by their changes
    for k in range(steps):
        g = gradient(k, x[k]) + weight_decay * x[k]
        lam = d[k] * float(gamma[k])
        old_A2, old_1 = inner(s, s / (np.sqrt(a2) + eps)), norm1(s)
        a2 = a2 + g**2
        A = np.sqrt(a2) + eps  # A2
        s = s + lam * g
        new_s_1 = s_1 + (norm1(s) - old_1)
        if new_s_1 == 0:  # A6: s and a2 stay changed, but x, d and the three sums do not follow
            x.append(x[k])
            d.append(d[k])
            d_hat.append(d[k])
            continue
        s_1, s_A2 = new_s_1, s_A2 + (inner(s, s / A) - old_A2)
        sum_d2_g2 += lam**2 * inner(g, g / A)  # A3: A_{k+1}
        d_hat.append((s_A2 - sum_d2_g2) / s_1 if gamma[k] > 0 else d[k])  # A4: no 1/2
        d.append(grown(d[k], d_hat[k], growth_rate))
        x.append(momentum * x[k] + (1 - momentum) * (x0 - s / A))  # A5
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


def released_sgd(gradient, x0, steps, *, gamma=1.0, momentum=0.0, d0=1e-6, growth_rate=math.inf, weight_decay=0.0):
    """DAdaptSGD of dadaptation 3.2; g_0 = 0 and s_{k+1} = 0 raise ZeroDivisionError there too."""
    gamma = np.broadcast_to(gamma, steps)
    x, s, d = [x0.copy()], np.zeros_like(x0), [d0]
    sum_lambda_gs, d_hat = 0.0, []
    for k in range(steps):
        g = gradient(k, x[k])
        if k == 0:
            G = norm(g)  # S2: before the weight decay is added
        g = g + weight_decay * x[k]
        lam = d[k] * float(gamma[k]) / G
        sum_lambda_gs += lam * inner(g, s)
        s = s + lam * g
        d_hat.append(2 * sum_lambda_gs / norm(s))
        d.append(grown(d[k], d_hat[k], growth_rate))
        x.append(momentum * x[k] + (1 - momentum) * (x0 - s))  # z_{k+1} = x_0 - s_{k+1}
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


def released_adam(
    gradient, x0, steps, *, gamma=1.0, betas=(0.9, 0.999), eps=1e-8, bias_correction=False, d0=1e-6,
    growth_rate=math.inf, weight_decay=0.0, decouple=False,
):  # fmt: skip
    """DAdaptAdam of dadaptation 3.2."""
    gamma = np.broadcast_to(gamma, steps)
    beta1, beta2 = betas
    b = math.sqrt(beta2)
    x, d, t = [x0.copy()], [d0], 0  # t: steps that were taken
    m, v, s, r, d_hat = np.zeros_like(x0), np.zeros_like(x0), np.zeros_like(x0), 0.0, []
    for k in range(steps):
        g = gradient(k, x[k]) + (0.0 if decouple else weight_decay) * x[k]
        lam = d[k] * float(gamma[k])
        if bias_correction:
            lam *= math.sqrt(1 - beta2 ** (t + 1)) / (1 - beta1 ** (t + 1))
        s_next = b * s + (1 - b) * lam * g
        if gamma[k] == 0 or norm1(s_next) == 0:  # M3, M4: a rate of 0, or zero gradients only so far; wait
            x.append(x[k])
            d.append(d[k])
            d_hat.append(d[k])
            continue
        t += 1
        r = b * r + (1 - b) * lam * inner(g, s / (np.sqrt(v) + eps))  # M1: s_k and A_k
        m = beta1 * m + (1 - beta1) * lam * g
        v = beta2 * v + (1 - beta2) * g**2
        s = s_next
        d_hat.append(r / ((1 - b) * norm1(s)))
        d.append(grown(d[k], d_hat[k], growth_rate))
        shrunk = x[k] - (lam * weight_decay if decouple else 0.0) * x[k]
        x.append(shrunk - m / (np.sqrt(v) + eps))
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


# ---------------------------------------------------------------------------------------------------------------------
# Baselines; gamma is the learning rate
# ---------------------------------------------------------------------------------------------------------------------


def sgd(gradient, x0, steps, *, gamma, momentum=0.0, weight_decay=0.0):
    """Stochastic gradient descent with momentum in PyTorch's convention, m <- momentum m + g."""
    gamma = np.broadcast_to(gamma, steps)
    x, m = [x0.copy()], np.zeros_like(x0)
    for k in range(steps):
        g = gradient(k, x[k]) + weight_decay * x[k]
        m = momentum * m + g
        x.append(x[k] - gamma[k] * m)
    return Trajectory(np.array(x))


def adagrad(gradient, x0, steps, *, gamma, eps=1e-10, weight_decay=0.0):
    """AdaGrad, diagonal. J. Duchi, E. Hazan, Y. Singer. JMLR 12 (2011) 2121-2159; eps outside of the root."""
    gamma = np.broadcast_to(gamma, steps)
    x, a2 = [x0.copy()], np.zeros_like(x0)
    for k in range(steps):
        g = gradient(k, x[k]) + weight_decay * x[k]
        a2 = a2 + g**2
        x.append(x[k] - gamma[k] * g / (np.sqrt(a2) + eps))
    return Trajectory(np.array(x))


def adam(gradient, x0, steps, *, gamma, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decouple=False):
    """Adam with bias correction. D. Kingma, J. Ba. ICLR 2015, arXiv:1412.6980, Algorithm 1.

    With `decouple` the weight decay of AdamW: I. Loshchilov, F. Hutter. ICLR 2019, arXiv:1711.05101.
    """
    gamma = np.broadcast_to(gamma, steps)
    beta1, beta2 = betas
    x, m, v = [x0.copy()], np.zeros_like(x0), np.zeros_like(x0)
    for k in range(steps):
        g = gradient(k, x[k]) + (0.0 if decouple else weight_decay) * x[k]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1 ** (k + 1))
        v_hat = v / (1 - beta2 ** (k + 1))
        shrunk = (1 - (gamma[k] * weight_decay if decouple else 0.0)) * x[k]
        x.append(shrunk - gamma[k] * m_hat / (np.sqrt(v_hat) + eps))
    return Trajectory(np.array(x))

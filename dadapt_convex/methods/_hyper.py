"""Hyper-parameters that several methods have."""

from __future__ import annotations

from dadapt_convex.hyper import Choice, Flag, Pair, Real

D = Real("D", "an upper bound on dist(x0, X*), in units of ||x||", low=0.0, known="D")
G = Real("G", "an upper bound on ||g_k||", low=0.0, known="G")
D0 = Real("d0", "the first estimate of D", default=1e-6, low=0.0)
D0_BELOW_D = Real("d0", "a lower bound on D = dist(x0, X*), in units of ||x||", default=1e-6, low=0.0)
LR = Real("lr", "the factor of every step, beside the schedule; 1 leaves the rate to d", default=1.0, low=0.0)
GROWTH_RATE = Real(
    "growth_rate", "the cap on d_{k+1} / d_k, infinite for none", default=float("inf"), low=1.0, closed=True,
    infinite=True,
)  # fmt: skip
MOMENTUM = Real("momentum", "the momentum beta", default=0.9, low=0.0, high=1.0, closed=True)
BETAS = Pair("betas", "the decays of the means of g and of g^2", default=(0.9, 0.999), low=0.0, high=1.0)
EPS = Real("eps", "the number added to the root of the squares", default=1e-8, low=0.0)
WEIGHT_DECAY = Real("weight_decay", "the w of w x, added to the gradient", default=0.0, low=0.0, closed=True)
DECOUPLE = Flag("decouple", "whether weight decay shrinks x (as in AdamW) instead of adding to the gradient")
CONVENTION = Choice(
    "convention", "the paper's algorithm, or the one of the authors' package", options=("paper", "released"),
    default="paper",
)  # fmt: skip

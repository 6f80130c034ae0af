"""The paper's figures, from stored runs alone: a small panel for each problem, and the trace on |x|."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.analysis import (
    ADAPTIVE_COLOURS,
    BLUE,
    DASHES,
    MARKERS,
    PURPLE,
    STYLE,
    VERMILLION,
    WIDTH,
    as_text,
    limit_text,
    new_figure,
)
from experiments.paper.files import ACCURACY, RATES, SENSITIVITY, Stored

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 4
PANEL_HEIGHT = 1.42  # inches
LONGEST_TITLE = 30  # characters, as wide as a panel
# Of a tuned method and of an adaptive one; told apart without colour too.
TUNED: Mapping[str, Any] = {"color": BLUE, "linestyle": (0, (4, 1.4))}
ADAPTIVE: Mapping[str, Any] = {"color": VERMILLION, "linestyle": "-"}
GRID = {"color": "#EBEBEB", "linewidth": 0.6}
# A panel shows what happens after this share of the epochs; before, accuracy rises steeply from chance.
SETTLED = 0.04
# Panels never zoom in so far that a few rows of the data look like a difference.
SMALLEST_SPAN = 1.0
QUICK = "quick: few problems, epochs and seeds; not to be compared with the paper"
D = 1.0  # of |x| from x0 = 1
TRACE_SHOWN = 25  # steps of the paper's trace

Draw = Callable[[Any, str], None]


def accuracy(out: Path) -> Any:
    """Accuracy over all rows against epochs: the mean over seeds with a band of one standard error."""
    stored = Stored.read(out)
    table = stored.table(ACCURACY)
    styles = dict(zip(stored.pair, (TUNED, ADAPTIVE), strict=True))

    def panel(ax: Any, problem: str) -> None:
        lows, highs = [], []
        rows = table[(table["problem"] == problem) & table["method"].isin(styles)]
        for place, (_, row) in enumerate(rows.iterrows()):
            curves = 100 * stored.curves[problem, row["label"]].accuracy
            mean, error = _mean_and_error(curves)
            epochs = np.arange(1, mean.size + 1)
            style = styles[row["method"]]
            colour = style["color"]
            ax.fill_between(epochs, mean - error, mean + error, color=colour, alpha=0.22, linewidth=0, zorder=2)
            ax.plot(epochs, mean, linewidth=1.2, zorder=3 + place, **style)
            settled = slice(int(SETTLED * mean.size), None)
            lows.append(np.nanmin((mean - error)[settled]))
            highs.append(np.nanmax((mean + error)[settled]))
            ax.text(0.97, 0.06 + 0.13 * place, _with_error(row["accuracy"], row["standard_error"]), color=colour,
                    transform=ax.transAxes, ha="right", va="bottom", fontsize=6.5)  # fmt: skip
        _accuracy_limits(ax, min(lows), max(highs), room=0.45)
        _stages(ax, stored)
        ax.set_xlim(0, epochs[-1])

    tuned, adaptive = (stored.titles[method] for method in stored.pair)
    handles = {f"{tuned}, its rate by grid search": TUNED, adaptive: ADAPTIVE}
    return _panels(stored, panel, handles, "epoch", "accuracy, %")


def sensitivity(out: Path) -> Any:
    """Final accuracy against d_0."""
    from matplotlib.ticker import NullLocator

    stored = Stored.read(out)
    table = stored.table(SENSITIVITY)

    def panel(ax: Any, problem: str) -> None:
        rows = table[table["problem"] == problem].sort_values("d0")
        error = rows["standard_error"].fillna(0.0)
        ax.errorbar(rows["d0"], rows["accuracy"], yerr=error, color=VERMILLION, linewidth=1.1, marker="o",
                    markersize=3, elinewidth=0.9, capsize=1.8)  # fmt: skip
        _accuracy_limits(ax, (rows["accuracy"] - error).min(), (rows["accuracy"] + error).max(), room=0.15)
        ax.set_xscale("log")
        exponents = np.log10(rows["d0"])
        ax.set_xticks(10.0 ** np.arange(exponents.min(), exponents.max(), 4))
        ax.xaxis.set_minor_locator(NullLocator())

    handles = {stored.titles[table["method"].iloc[0]]: {"color": VERMILLION, "marker": "o", "markersize": 3}}
    return _panels(stored, panel, handles, r"$d_0$", "final accuracy, %")


def learning_rates(out: Path) -> Any:
    """The rate d_k gamma_k of the adaptive method over the epochs, and that of the grid search times gamma_k."""
    from dadapt_convex.schedules import as_schedule

    stored = Stored.read(out)
    table = stored.table(RATES)
    tuned, adaptive = (stored.titles[method] for method in stored.pair)
    epochs = int(stored.configuration["epochs"])
    gamma = as_schedule(stored.configuration["schedule"]).factors(np.arange(epochs), epochs, 1)

    def panel(ax: Any, problem: str) -> None:
        row = table[table["problem"] == problem].iloc[0]
        d, x = stored.curves[problem, stored.pair[1]].d, np.arange(1, epochs + 1)
        ax.fill_between(x, d.min(axis=0) * gamma, d.max(axis=0) * gamma, color=VERMILLION, alpha=0.25, linewidth=0)
        ax.plot(x, d.mean(axis=0) * gamma, color=VERMILLION, linewidth=1.2)
        ax.plot(x, row["tuned_rate"] * gamma, linewidth=1.2, **TUNED)
        ax.set_yscale("log")
        _few_decades(ax.yaxis, 4)
        _stages(ax, stored)
        ax.set_xlim(0, epochs)

    handles = {
        rf"{adaptive}: $d_k \gamma_k$, mean and range over seeds": ADAPTIVE,
        rf"{tuned}: the rate of the grid search, times $\gamma_k$": TUNED,
    }
    return _panels(stored, panel, handles, "epoch", "learning rate")


def _mean_and_error(curves: Any) -> tuple[Any, Any]:
    mean = curves.mean(axis=0)
    seeds = curves.shape[0]
    error = curves.std(axis=0, ddof=1) / math.sqrt(seeds) if seeds > 1 else np.zeros_like(mean)
    return mean, error


def _with_error(value: float, error: float) -> str:
    return f"{value:.2f}" if math.isnan(error) else f"{value:.2f} $\\pm$ {error:.2f}"


def _accuracy_limits(ax: Any, low: float, high: float, room: float) -> None:
    """All that was measured, with room for the numbers below, and at least SMALLEST_SPAN."""
    from matplotlib.ticker import MaxNLocator

    spare = max(SMALLEST_SPAN - (high - low), 0.0)
    low, high = low - spare / 2, min(high + spare / 2, 100.0)
    span = high - low
    ax.set_ylim(low - room * span, high + 0.08 * span)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _stages(ax: Any, stored: Stored) -> None:
    """The epochs at which the rate is divided by 10."""
    from dadapt_convex.schedules import Stagewise, as_schedule

    schedule = as_schedule(stored.configuration["schedule"])
    assert isinstance(schedule, Stagewise)
    for epoch in schedule.epochs:
        ax.axvline(epoch, color="#D9D9D9", linewidth=0.7, zorder=0)


def _few_decades(axis: Any, most: int) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    axis.set_major_locator(LogLocator(numticks=most + 1))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _panels(stored: Stored, panel: Draw, handles: Mapping[str, Mapping[str, Any]], x_label: str, y_label: str) -> Any:
    """A panel for each problem, a shared legend below."""
    import matplotlib
    from matplotlib.lines import Line2D

    problems = list(zip(stored.problems["problem"], stored.problems["title"], strict=True))
    columns = min(COLUMNS, len(problems))
    rows = -(-len(problems) // columns)
    below, above, between = 0.62, 0.26 + 0.2 * stored.quick, 0.42  # inches
    height = rows * PANEL_HEIGHT + (rows - 1) * between + below + above
    with matplotlib.rc_context({**STYLE, "xtick.labelsize": 7, "ytick.labelsize": 7}):
        figure = new_figure(WIDTH, height)
        grid = figure.subplots(rows, columns, squeeze=False)
        for i, ax in enumerate(grid.flat):
            if i >= len(problems):
                ax.set_visible(False)
                continue
            problem, title = problems[i]
            panel(ax, problem)
            ax.set_title(as_text(title, LONGEST_TITLE), fontsize=8.5)
            ax.grid(True, axis="y", **GRID)
            ax.set_axisbelow(True)
            if i + columns >= len(problems):  # nothing stands below
                ax.set_xlabel(x_label)
            if i % columns == 0:
                ax.set_ylabel(y_label)
        figure.subplots_adjust(
            left=0.56 / WIDTH, right=1 - 0.1 / WIDTH, bottom=below / height, top=1 - above / height,
            wspace=0.36, hspace=between / PANEL_HEIGHT,
        )  # fmt: skip
        lines = [Line2D([], [], **style) for style in handles.values()]
        figure.legend(lines, list(handles), loc="lower center", ncols=len(lines), frameon=False, handlelength=3)
        if stored.quick:
            figure.text(0.5, 1 - 0.12 / height, QUICK, ha="center", va="center", fontsize=8, color="#8A5A00")
    return figure


# ---------------------------------------------------------------------------------------------------------
# |x|


def toy(runs: pd.DataFrame, paper: Mapping[str, Any], share: float, quick: bool) -> Any:
    """The paper's trace on |x|, and below it both options from several d_0.

    runs : rows of curves.parquet with option, step, d0, k, x (x_{k-1}) and d (d_k), k = 0 holding x_0 and d_0.
    paper : option, step and d0 of the paper's trace.
    share : of D, which d reaches in the limit.
    """
    import matplotlib

    is_paper = np.logical_and.reduce([runs[name] == value for name, value in paper.items()])
    others = runs[runs["step"] == "plain"]
    options = list(dict.fromkeys(others["option"]))
    with matplotlib.rc_context(STYLE):
        figure = new_figure(WIDTH, 2.15 * (1 + len(options)), layout="constrained")
        axes = figure.subplots(1 + len(options), 2)
        _paper_trace(axes[0], runs[is_paper & (runs["k"] <= TRACE_SHOWN)], paper, share)
        for (left, right), option in zip(axes[1:], options, strict=True):
            _from_several(left, right, others[others["option"] == option], option, share)
        if quick:
            figure.suptitle("quick: fewer steps", fontsize=8, color="#8A5A00")
    return figure


def _paper_trace(axes: Any, runs: pd.DataFrame, paper: Mapping[str, Any], share: float) -> None:
    left, right = axes
    x = runs["x"].to_numpy()[1:]  # x_0, x_1, ...
    grid = np.linspace(min(-0.4, x.min() - 0.1), 1.1, 200)
    left.plot(grid, np.abs(grid), color="#B5B5B5", linewidth=1.2, zorder=1)
    left.plot(x[1:], np.abs(x[1:]), color=PURPLE, marker="o", markersize=3.6, linewidth=0.6, alpha=0.85, zorder=2)
    left.plot(x[:1], np.abs(x[:1]), color=BLUE, marker="o", markersize=5, linestyle="none", zorder=3)
    left.annotate("$x_0$", (x[0], abs(x[0])), xytext=(-12, -2), textcoords="offset points", color=BLUE)
    left.set_title(f"iterates, option {paper['option']}, {paper['step']} step, $d_0 = {paper['d0']:g}$")
    left.set_xlabel("$x$")
    left.set_ylabel("$|x|$")
    right.step(runs["k"], runs["d"], where="post", color=PURPLE, marker="o", markersize=2.8)
    right.set_title("the estimate $d_k$ of $D = 1$")
    right.set_xlabel("$k$")
    right.set_ylabel("$d_k$")
    right.set_ylim(0, 1.08)
    _limits_of_d(right, share)
    right.legend(frameon=False, loc="lower right")
    for ax in axes:
        ax.grid(True, **GRID)
        ax.set_axisbelow(True)


def _limits_of_d(ax: Any, share: float) -> None:
    ax.axhline(D, color="#5B8DB1", linewidth=1.2, zorder=1, label="$D$")
    ax.axhline(share * D, color="#555555", linewidth=1.1, linestyle=":", zorder=1, label=limit_text(share))


def _from_several(left: Any, right: Any, runs: pd.DataFrame, option: str, share: float) -> None:
    d0s = sorted(runs["d0"].unique(), reverse=True)
    for i, d0 in enumerate(d0s):
        rows = runs[(runs["d0"] == d0) & (runs["k"] > 0)]
        style = {"color": ADAPTIVE_COLOURS[i], "marker": MARKERS[i], "markersize": 3, "markeredgewidth": 0}
        left.plot(rows["k"], rows["x"], linewidth=1.0, linestyle=DASHES[i], **style,
                  markevery=0.12, label=f"$d_0 = {_power(d0)}$")  # fmt: skip
        right.plot(rows["k"], rows["d"], linewidth=1.2, linestyle=DASHES[i], **style, markevery=0.12)
    _limits_of_d(right, share)
    left.set_title(f"the iterate, option {option}, plain step")
    right.set_title(f"$d_k$, option {option}, plain step")
    left.legend(frameon=False, loc="upper right", fontsize=7)
    right.set_yscale("log")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xlabel("subgradients used, $k$")
        ax.grid(True, **GRID)
        ax.set_axisbelow(True)


def _power(d0: float) -> str:
    exponent = math.log10(d0)
    return f"10^{{{exponent:.0f}}}" if abs(exponent - round(exponent)) < 1e-9 else f"{d0:g}"

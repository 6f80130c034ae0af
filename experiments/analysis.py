"""Figures and summaries, made from the stored files alone.

Per problem: the suboptimality of the average, best and last iterate, and a figure of the methods that
estimate the distance, with their own bounds and d_k against the certified one. Over the suite: a heat map of verdicts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import store
from experiments.engine.task import Executor, Task, run
from experiments.output import shortened, shown

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = ("VERIFIED", "TIGHT", "VIOLATED", "UNDECIDED", "NOT_APPLICABLE")
# The names of the figures, by which --fresh deletes them and the report finds them.
FORMATS = ("png", "pdf")
HEAT_MAP = "verdicts"
KINDS = ("suboptimality", "dadaptation")
# In a cell that stands for several runs the gravest verdict is shown.
GRAVITY = ("VIOLATED", "UNDECIDED", "TIGHT", "VERIFIED", "NOT_APPLICABLE")
HOLDS = ("VERIFIED", "TIGHT")

TITLES = {"avg": "weighted average", "best": "best iterate", "last": "last iterate"}

# Okabe and Ito's palette, told apart by the colour-blind; yellow, too pale for a line on white, is left out.
VERMILLION, BLUE, GREEN, ORANGE, SKY, PURPLE, BROWN, GREY = (
    "#D55E00", "#0072B2", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#7A5230", "#8A8A8A",
)  # fmt: skip
COLOURS = (BLUE, SKY, GREEN, ORANGE, PURPLE, BROWN, "#332288", "#999933")
ADAPTIVE_COLOURS = (VERMILLION, BLUE, ORANGE, GREEN, PURPLE, BROWN)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1, 1, 1)))
MARKS_PER_LINE = 7
WIDTH, PANEL_HEIGHT = 7.2, 2.05  # inches: a page's width
DPI = 170
SECONDS = 0.5  # to draw the figures of a problem
# A curve may fall by many decades when a method finds the kink; the rest must stay legible.
DECADES_SHOWN = 7
# References far above all curves are let out of the picture.
HEADROOM = 30.0
# Beyond, ticks go beyond float64.
DRAWN = (1e-250, 1e250)
# Characters; longer names would leave no room for the figure.
LONGEST_NAME, LONGEST_LABEL = 60, 80

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.3,
    "pdf.fonttype": 42,
    "text.usetex": False,
    "text.parse_math": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


# ---------------------------------------------------------------------------------------------------------
# Summaries


def rates(manifest: Mapping[str, Any]) -> frozenset[str]:
    """The theorems whose right-hand side is a convergence rate, as the figures draw it.

    Identities and sums over the iterates hold with equality or nearly so on every run, and their ratios say nothing.
    """
    return frozenset(name for name, text in manifest.get("theorems", {}).items() if text.get("figure"))


def summary_by_method(verdicts: pd.DataFrame, rates: Collection[str]) -> list[dict[str, Any]]:
    """Counts of verdicts and the worst ratio of every method configuration, in the order of the table."""
    groups = verdicts.groupby("label", sort=False)
    return [{"label": str(label), **_summary(rows, rates)} for label, rows in groups]


def summary_by_problem(verdicts: pd.DataFrame, rates: Collection[str]) -> dict[str, dict[str, Any]]:
    """Counts and the worst ratio of every problem; "method" is the label of the worst ratio."""
    return {str(problem): _summary(rows, rates) for problem, rows in verdicts.groupby("problem", sort=False)}


def _summary(rows: pd.DataFrame, rates: Collection[str]) -> dict[str, Any]:
    """Counts; the largest ratio and its place: of violated theorems if there are any, else of rates that hold."""
    counts = rows["verdict"].value_counts()
    violated = rows["verdict"] == "VIOLATED"
    asked = violated if violated.any() else rows["verdict"].isin(HOLDS) & rows["theorem"].isin(rates)
    found: dict[str, Any] = {"worst_ratio": None, "theorem": "", "problem": "", "method": ""}
    ratios = rows["worst_ratio"].where(asked).astype(float)
    if ratios.notna().any():
        worst = rows.iloc[int(np.nanargmax(ratios.to_numpy()))]
        found = {"worst_ratio": float(worst["worst_ratio"]), "theorem": str(worst["theorem"])}
        found |= {"problem": str(worst["problem"]), "method": str(worst["label"])}
    return {**{v: int(counts.get(v, 0)) for v in VERDICTS}, **found}


@dataclass(frozen=True)
class Heat:
    """A cell of the heat map: the gravest verdict of all runs it stands for, and the largest ratio among those."""

    verdict: str
    ratio: float


def heat(verdicts: pd.DataFrame) -> tuple[list[str], list[str], dict[tuple[str, str], Heat]]:
    """Problems, theorems, and the cells."""
    problems = [str(p) for p in verdicts["problem"].unique()]
    theorems = [str(t) for t in verdicts["theorem"].unique()]
    cells: dict[tuple[str, str], Heat] = {}
    for (problem, theorem), rows in verdicts.groupby(["problem", "theorem"], sort=False):
        gravest = min(rows["verdict"], key=GRAVITY.index)
        ratios = rows["worst_ratio"][rows["verdict"] == gravest].astype(float)
        cells[str(problem), str(theorem)] = Heat(gravest, float(ratios.max()) if ratios.notna().any() else math.nan)
    return problems, theorems, cells


# ---------------------------------------------------------------------------------------------------------
# Drawing


def figure_name(kind: str, problem: str) -> str:
    """The name of a problem's figure, without the format."""
    return f"{store.slug(problem)}_{kind}"


def in_all_formats(names: Sequence[str]) -> list[str]:
    """The files of figures of these names."""
    return [f"{name}.{form}" for name in names for form in FORMATS]


def figure_files(problems: Sequence[str]) -> list[str]:
    """All files a suite's figures may have."""
    return in_all_formats([HEAT_MAP, *(figure_name(kind, problem) for problem in problems for kind in KINDS)])


def draw_all(out: Path, executor: Executor, console: Any) -> None:
    """Draw every figure of a results directory into its folder of figures, PNG and PDF."""
    results = store.Results.read(out)
    problems = [problem for problem in results.problems["problem"] if (results.runs["problem"] == problem).any()]
    tasks = [Task(draw_heat_map, (out,), HEAT_MAP, seconds=SECONDS)] if len(results.verdicts) else []
    tasks += [Task(draw_problem, (out, problem), problem, seconds=SECONDS) for problem in problems]
    for what, outcome in run(tasks, out, executor, console, "figures").items():
        if outcome is not None:
            raise RuntimeError(f"the figures of {what} cannot be drawn\n{outcome.details}")


def draw_heat_map(out: Path) -> None:
    """Draw the verdicts of the whole suite."""
    save_figure(heat_map(store.Results.read(out).verdicts), out, HEAT_MAP)


def draw_problem(out: Path, problem: str) -> None:
    """Draw the figures of one problem."""
    results = store.Results.read(out, problem)
    row = results.problems[results.problems["problem"] == problem].iloc[0]
    runs, order = results.runs, results.manifest["configuration"]["methods"]
    methods = results.manifest.get("methods", {})
    save_figure(suboptimality_figure(runs, row, order, methods), out, figure_name("suboptimality", problem))
    if "d" in runs.columns and runs["d"].notna().any():
        drawn = dadaptation_figure(runs[runs["d"].notna()], row, methods)
        save_figure(drawn, out, figure_name("dadaptation", problem))


def save_figure(figure: Any, out: Path, name: str) -> None:
    """Write a figure into a results directory in all formats."""
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context(STYLE):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a name: an empty box stands there
        if figure.get_layout_engine() is not None:
            figure.draw_without_rendering()  # lays it out, once for all formats
            figure.set_layout_engine("none")
        for form in FORMATS:
            with store.replacing(out / store.FIGURES / f"{name}.{form}") as path:
                # no date, so that equal results give equal files
                figure.savefig(path, format=form, dpi=DPI, metadata={"CreationDate": None} if form == "pdf" else None)


def as_text(name: str, longest: int = LONGEST_NAME) -> str:
    """A name for a figure: as it stands, no mathematics, its middle left out where it is long."""
    return shortened(shown(name), longest).replace("$", r"\$")


def new_figure(width: float, height: float, layout: Any = None) -> Any:
    """An empty figure, in inches, that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _place(figure: Any, handles: dict[str, Any], columns: int, left: float, between: float) -> None:
    """Put the legend below the panels and give all their room, in inches: quicker than a layout engine.

    The legend has fewer columns where its texts are too wide for the figure.
    """
    legend = _legend_below(figure, handles, columns)
    while columns > 1 and legend.get_window_extent(figure.canvas.get_renderer()).width > WIDTH * figure.dpi:
        legend.remove()
        columns -= 1
        legend = _legend_below(figure, handles, columns)
    rows = math.ceil(len(handles) / columns)
    width, panels, below = WIDTH, PANEL_HEIGHT, 0.43 + 0.165 * rows + 0.08
    height = panels + below + 0.3
    figure.set_size_inches(width, height)
    figure.subplots_adjust(
        left=left / width, right=1 - 0.08 / width, bottom=below / height, top=1 - 0.3 / height, wspace=between
    )


def _legend_below(figure: Any, handles: dict[str, Any], columns: int) -> Any:
    return figure.legend(
        list(handles.values()), [shortened(text, LONGEST_LABEL) for text in handles], loc="lower center", ncols=columns,
        frameon=False, handlelength=3.2, columnspacing=1.6, borderaxespad=0.3, labelspacing=0.35,
    )  # fmt: skip


@dataclass(frozen=True)
class LineStyle:
    """The line and marker of a method, equal in all panels."""

    colour: str
    marker: str
    dashes: Any
    width: float = 1.2
    order: float = 3.0
    shift: float = 0.0  # of the markers along the curve, so that markers differ where curves coincide


def _labelled(runs: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """The runs by label, in order; the mean where there are several seeds."""
    for label, rows in runs.groupby("label", sort=False):
        yield str(label), over_seeds(rows)


# The manifest's entries on methods, by name: title, distance_norm, d_limit.
Methods = Mapping[str, Mapping[str, Any]]
UNKNOWN: Methods = {}


def output_of(rows: pd.DataFrame) -> str:
    """The output of a method: the average, if any iterate has a weight in it, else the last iterate."""
    return "avg" if "weight_sum" not in rows or (rows["weight_sum"] > 0).any() else "last"


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One configuration's rows: means over the seeds at the checkpoints that all reached."""
    seeds = rows["seed"].nunique()
    if seeds == 1:
        return rows.sort_values("k")
    by_k = rows.groupby("k")
    shared = by_k["seed"].nunique() == seeds
    first, means = by_k.first(), by_k.mean(numeric_only=True)
    return first.assign(**means)[shared].reset_index().sort_values("k")


def _main_labels(runs: pd.DataFrame) -> list[str]:
    """The labels of the first figure: of a method that estimates D the first alone: the others have a figure."""
    chosen: list[str] = []
    seen: set[str] = set()
    for label, rows in _labelled(runs):
        name, adaptive = rows["method"].iloc[0], "d" in rows and rows["d"].notna().any()
        if not (adaptive and name in seen):
            chosen.append(label)
        seen.add(name)
    return chosen


def line_styles(labels: Sequence[str], adaptive: Sequence[str]) -> dict[str, LineStyle]:
    """Methods that estimate D in vermillion and on top; the others by their place in the suite."""
    styles, given = {}, 0
    taken = [ADAPTIVE_COLOURS[i % len(ADAPTIVE_COLOURS)] for i in range(len(adaptive))]
    free = [colour for colour in COLOURS if colour not in taken] or COLOURS
    for label in labels:
        if label in adaptive:
            i = list(adaptive).index(label)
            colour = ADAPTIVE_COLOURS[i % len(ADAPTIVE_COLOURS)]
            width = 2.0 if len(adaptive) == 1 else 1.4
            styles[label] = LineStyle(colour, MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)], width, 4.0, i / 4)
        else:
            styles[label] = LineStyle(
                free[given % len(free)], MARKERS[1:][given % (len(MARKERS) - 1)], DASHES[given % len(DASHES)],
                shift=given / 8,
            )  # fmt: skip
            given += 1
    return styles


def suboptimality_figure(runs: pd.DataFrame, facts: Any, order: Sequence[str], methods: Methods = UNKNOWN) -> Any:
    """The gap of the average, best and last iterate against the subgradients used.

    runs: rows of runs.parquet of one problem; facts: its row of problems.csv; order: all labels of the suite, so
    that a method looks the same in every figure; methods: the manifest's entries on them.
    """
    import matplotlib

    labels = _main_labels(runs)
    adaptive = [label for label, rows in _labelled(runs) if "d" in rows and rows["d"].notna().any()]
    main_adaptive = [label for label in labels if label in adaptive]
    styles = line_styles([label for label in order if label in labels or label not in adaptive], main_adaptive)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(WIDTH, PANEL_HEIGHT)
        axes = figure.subplots(1, 3, sharey=True, sharex=True)
        width = _interval(facts)
        limits = _limits([rows for label, rows in _labelled(runs) if label in labels], facts)
        handles: dict[str, Any] = {}
        for ax, iterate in zip(axes, store.ITERATES, strict=True):
            for label, rows in _labelled(runs):
                if label in labels and not (iterate == "avg" and output_of(rows) == "last"):
                    line = _draw_gap(ax, rows, iterate, styles[label], limits[0])
                    handles.setdefault(_legend_text(label, methods), line)  # that of the averages: the smoothest
            _note_if_empty(ax, limits)
            for label in main_adaptive:
                rows = runs[(runs["label"] == label) & (runs["seed"] == 0)]
                bound = _draw_bound(ax, rows, iterate, styles[label].colour)
                if bound is not None:
                    title = _legend_text(label.partition("[")[0], methods)
                    handles[f"bound {_plain(rows['bound_theorem'].iloc[0])} for {title}"] = bound
            handles.update({**_draw_references(ax, runs, facts, width, limits), **_seeds(runs)})
            ax.set_title(TITLES[iterate])
            _log_axes(ax, limits)
            ax.set_xlabel(r"subgradients used, $k$")
        axes[0].set_ylabel(r"suboptimality, $f(x) - f_*$")
        _place(figure, handles, columns=3, left=0.62, between=0.07)
    return figure


def dadaptation_figure(runs: pd.DataFrame, facts: Any, methods: Methods = UNKNOWN) -> Any:
    """The methods that estimate D: their averages under their own bounds, and d_k against the certified distance."""
    import matplotlib

    labels = [label for label, _ in _labelled(runs)]
    styles = line_styles(labels, labels)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(WIDTH, PANEL_HEIGHT)
        left, right = figure.subplots(1, 2)
        limits = _limits([rows for _, rows in _labelled(runs)], facts, ("avg",), bounds=True)
        handles: dict[str, Any] = {}
        theorems: dict[str, None] = {}
        for label, rows in _labelled(runs):
            _draw_gap(left, rows, output_of(rows), styles[label], limits[0])
            if _draw_bound(left, rows, "avg", styles[label].colour) is not None:
                theorems[rows["bound_theorem"].iloc[0]] = None
            handles[_legend_text(label, methods)] = _draw_line(right, rows["k"], rows["d"], styles[label])
        _note_if_empty(left, limits)
        references = _draw_references(left, runs, facts, _interval(facts), limits)
        references = {text: handle for text, handle in references.items() if "not run" not in text}
        if theorems:
            references[f"bound {_plain(', '.join(theorems))}, same colour"] = _proxy(
                color=GREY, lw=0.9, ls=(0, (4, 1.2))
            )
        _log_axes(left, limits)
        outputs = {output_of(rows) for _, rows in _labelled(runs)}
        left.set_title(" or ".join(title for output, title in TITLES.items() if output in outputs))
        left.set_ylabel(r"suboptimality, $f(x) - f_*$")
        references.update(_draw_distance(right, runs, facts, methods))
        right.set_title("estimate of the distance from $x_0$ to $X_*$")
        right.set_ylabel(r"$d_k$")
        for ax in (left, right):
            ax.set_xlabel(r"subgradients used, $k$")
        handles.update({**references, **_seeds(runs)})
        _place(figure, handles, columns=2, left=0.62, between=0.24)
    return figure


def _seeds(runs: pd.DataFrame) -> dict[str, Any]:
    """The legend's entry on several seeds."""
    count = runs["seed"].nunique()
    return {f"stochastic gradients: mean of {count} seeds": _proxy(linestyle="none")} if count > 1 else {}


def _interval(facts: Any) -> float:
    return float(facts["f_hi"] - facts["f_lo"])


def _limits(
    traces: Sequence[pd.DataFrame], facts: Any, iterates: Sequence[str] = store.ITERATES, bounds: bool = False
) -> tuple[float, float]:
    """The range of the ordinate: all gaps, but no more decades than can be read, and little of the unknown."""
    gaps = np.concatenate([rows[f"gap_{i}_hi"].to_numpy(dtype=float) for rows in traces for i in iterates])
    gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
    if gaps.size == 0:
        return 1e-3, 1.0
    starts = [float(rows["gap_last_hi"].iloc[0]) for rows in traces]
    starts = [start for start in starts if 0 < start < math.inf] or [float(np.max(gaps))]
    top = max(starts + [float(np.quantile(gaps, 0.98))])
    reference = _distance(facts) * float(facts["G"])
    if math.isfinite(reference):
        top = max(top, min(reference, max(starts) * HEADROOM))
    lowest = max(float(np.quantile(gaps, 0.02)), max(starts) * 10.0**-DECADES_SHOWN)
    if bounds and "bound" in traces[0]:
        late = [rows["bound"].to_numpy(dtype=float)[len(rows) // 3 :] for rows in traces]
        known = np.concatenate(late)
        known = known[np.isfinite(known) & (known > 0)]
        top = max(top, float(np.max(known))) if known.size else top
    width = _interval(facts)
    bottom = max(lowest, width / 4) if math.isfinite(width) else lowest
    return bottom / 1.6, max(top, bottom * 10) * 1.8


def _draw_line(ax: Any, k: Any, y: Any, style: LineStyle) -> Any:
    k, y = np.asarray(k, dtype=float), np.asarray(y, dtype=float)
    y = np.where(np.isfinite(y), y, np.nan)
    return ax.plot(
        k, y, color=style.colour, linestyle=style.dashes, linewidth=style.width, marker=style.marker,
        markersize=3.6, markeredgewidth=0, markevery=_marks(k, style.shift), zorder=style.order,
    )[0]  # fmt: skip


def _marks(k: Any, shift: float) -> list[int]:
    """Indices evenly spread over the logarithm of k."""
    places = k[0] * (k[-1] / k[0]) ** ((np.arange(MARKS_PER_LINE) + shift % 1) / MARKS_PER_LINE)
    return sorted({int(np.argmin(np.abs(np.log(k) - math.log(place)))) for place in places})


def _draw_gap(ax: Any, rows: pd.DataFrame, iterate: str, style: LineStyle, bottom: float) -> Any:
    """The upper end of the gap as a line, shaded down to its lower end where the two differ.

    A gap of 0 cannot be shown on a logarithm: the line is broken there. Where the gap stays at 0 to the end, the
    method has found the minimiser, and the line leaves the picture downwards.
    """
    high, low = (rows[f"gap_{iterate}_{end}"].to_numpy(dtype=float) for end in ("hi", "lo"))
    high, low = (np.where(np.isfinite(gap), gap, np.nan) for gap in (high, low))
    under = bottom * 1e-3
    positive = np.flatnonzero(high > 0)
    shown = np.where(high > 0, high, np.nan)
    shown[positive[-1] + 1 if positive.size else 0 :] = under
    line = _draw_line(ax, rows["k"], shown, style)
    if iterate == "last" and np.count_nonzero(np.diff(high) > 0) > len(high) / 10:  # it oscillates
        line.set(linestyle="none", markersize=1.7, markevery=None, alpha=0.7)  # points, where lines would be a carpet
    if np.any(high - low > 0.02 * np.abs(high)):
        ax.fill_between(
            rows["k"], np.where(low > 0, low, under), np.where(high > 0, high, under), color=style.colour, alpha=0.16,
            linewidth=0, zorder=style.order - 1,
        )  # fmt: skip
    return line


def _draw_bound(ax: Any, rows: pd.DataFrame, iterate: str, colour: str) -> Any:
    """The method's main bound, in the panel of the iterate it speaks of."""
    if "bound" not in rows or rows["bound"].isna().all():
        return None
    if {"average": "avg", "best": "best", "last": "last"}.get(rows["bound_iterate"].dropna().iloc[0]) != iterate:
        return None
    return ax.plot(rows["k"], rows["bound"], color=colour, linewidth=0.9, linestyle=(0, (4, 1.2)), zorder=2.5)[0]


def _draw_references(
    ax: Any, runs: pd.DataFrame, facts: Any, width: float, limits: tuple[float, float]
) -> dict[str, Any]:
    """DG/sqrt(k), and the region below f_hi - f_lo, where the sign of a gap is not known."""
    handles: dict[str, Any] = {}
    D, G = _distance(facts), float(facts["G"])
    k = np.geomspace(1, max(float(runs["k"].max()), 2.0), 50)
    if D == 0:
        handles[r"$x_0$ is a minimiser, $D=0$: methods given $D$ are not run"] = _proxy(linestyle="none")
    elif 0 < D * G < math.inf:
        line = ax.plot(k, D * G / np.sqrt(k), color="#B5B5B5", lw=3.2, ls=(0, (2.5, 1.2)), zorder=1)[0]
        handles[r"$D\,G/\sqrt{k}$"] = line
    elif str(facts["attained"]) == "False":
        handles[r"no minimiser, $D=\infty$: methods given $D$ are not run"] = _proxy(linestyle="none")
    if width > limits[0]:
        handles[r"$f_*$ known to this width only"] = ax.axhspan(
            limits[0] * 1e-3, width, facecolor="#E4E4E4", edgecolor="none", zorder=0
        )
    return handles


def _distance(facts: Any) -> float:
    """D to draw with: the upper end where it is finite, else the distance to the computed minimiser."""
    high = float(facts["D_hi"])
    if math.isfinite(high) or str(facts["attained"]) == "False":
        return high
    return float(facts["D_estimate"])


def _draw_distance(ax: Any, runs: pd.DataFrame, facts: Any, methods: Methods) -> dict[str, Any]:
    """The certified interval of D, and the share of it that d reaches in the limit, of the methods that have one."""
    low, high = float(facts["D_lo"]), float(facts["D_hi"])
    d = runs["d"].to_numpy(dtype=float)
    d = d[(d > 0) & (d < math.inf)]
    known = np.array([end for end in (low, high) if 0 < end < math.inf])
    every = np.concatenate([d, known]) if d.size + known.size else np.ones(1)
    top, bottom = float(every.max()) * 4, float(d.min() if d.size else every.min()) / 2
    handles: dict[str, Any] = {}
    if str(facts["attained"]) == "False" or not math.isfinite(low):
        ax.text(
            0.97, 0.05, "no minimiser: $D = \\infty$,\n$d_k$ grows without bound", transform=ax.transAxes, ha="right",
            va="bottom", fontsize=8, color="#555555",
        )  # fmt: skip
    elif high == 0:
        _note(ax, "$x_0$ is a minimiser: $D = 0$", 0.8)
    else:
        end = high if math.isfinite(high) else top
        text = r"$[D_{lo}, D_{hi}]$, certified" if math.isfinite(high) else r"$D \geq D_{lo}$, certified"
        ax.axhspan(low, end, facecolor="#BBD9EE", edgecolor="none", zorder=0)
        line = ax.axhline(low, color="#5B8DB1", lw=1.3, zorder=1)
        handles[text] = line
        about = [methods.get(name, {}) for name in runs["method"].unique()]
        for share in dict.fromkeys(filter(None, (method.get("d_limit") for method in about))):
            handles[limit_text(share)] = ax.axhline(low * share, color="#555555", lw=1.1, ls=":", zorder=1)
        if (
            any(method.get("distance_norm") == "maximum" for method in about)
            and math.isfinite(float(facts["D_inf_lo"]))
            and float(facts["D_inf_lo"]) > 0
        ):
            line = ax.axhline(float(facts["D_inf_lo"]), color="#B07AA1", lw=1.3, ls=(0, (6, 2)), zorder=1)
            handles[r"$D_\infty$, in the maximum norm, certified (its lower end)"] = line
    _log_axes(ax, (bottom, top))
    return handles


def _note_if_empty(ax: Any, limits: tuple[float, float]) -> None:
    """Say so where no line reaches into the picture."""
    heights = [np.asarray(line.get_ydata(), dtype=float) for line in ax.get_lines()]
    if not any(np.any((y >= limits[0]) & (y < math.inf)) for y in heights):
        _note(ax, "no gap above 0 to show", 0.5)


def _note(ax: Any, text: str, height: float) -> None:
    ax.text(0.5, height, text, transform=ax.transAxes, ha="center", va="center", fontsize=8, color="#555555")


def _log_axes(ax: Any, limits: tuple[float, float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(*np.clip(limits, *DRAWN))
    if not math.isfinite(ax.xaxis.get_minpos()):  # no point was drawn
        ax.set_xlim(1, 10)
    ax.grid(True, which="major", color="#EBEBEB", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(LogLocator(numticks=12))
    ax.yaxis.set_major_locator(LogLocator(numticks=8))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())


def _proxy(**style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], **style)


def _legend_text(label: str, methods: Methods) -> str:
    """A label in words: the method's title, then hyper-parameters."""
    name, _, hyper = label.rstrip("]").partition("[")
    title = methods.get(name, {}).get("title", name)
    return _plain(", ".join([title, *(part.replace("=", " ") for part in hyper.split(",") if part)]))


def _plain(text: str) -> str:
    """The text with blanks for underscores; only figures add mathematics."""
    return shown(text.replace("_", " ")).replace("$", r"\$")


def limit_text(share: float) -> str:
    """A share of D in a legend: 1/(1 + sqrt 3) is written as in the paper."""
    known = math.isclose(share, 1 / (1 + math.sqrt(3)))
    return r"$D/(1+\sqrt{3})$" if known else f"${share:.3g}\\,D$"


HEAT_COLOURS = {
    "VERIFIED": ("#CFE8DF", "#0B4F3C"),
    "TIGHT": ("#9CC4E4", "#0F3250"),
    "UNDECIDED": ("#F7D98C", "#5A3E00"),
    "VIOLATED": ("#B2182B", "#FFFFFF"),
    "NOT_APPLICABLE": ("#EFEFEF", "#AAAAAA"),
}


LEGEND_WIDTH = 5.8  # inches, of the heat map's
# The heat map grows with names of more characters than this, by so many inches for each.
USUAL_NAME, LETTER = 26, 0.07


def heat_map(verdicts: pd.DataFrame) -> Any:
    """Theorems against problems: the gravest verdict over all methods that claim it, with the worst ratio."""
    import matplotlib
    from matplotlib.patches import Patch, Rectangle

    problems, theorems, cells = heat(verdicts)
    with matplotlib.rc_context(STYLE):
        columns, lines = list(map(as_text, problems)), list(map(as_text, theorems))
        more = [max(0, max(map(len, names)) - USUAL_NAME) * LETTER for names in (columns, lines)]  # columns are slanted
        figure = new_figure(
            max(2.4 + 0.44 * len(problems) + 0.7 * more[0] + more[1], LEGEND_WIDTH),
            2.4 + 0.21 * len(theorems) + 0.8 * more[0],
            layout="constrained",
        )
        ax = figure.subplots()
        for (problem, theorem), cell in cells.items():
            x, y = problems.index(problem), theorems.index(theorem)
            face, ink = HEAT_COLOURS[cell.verdict]
            ax.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor="white", linewidth=1.2))
            if cell.verdict == "UNDECIDED":  # told apart without colour too
                ax.add_patch(Rectangle((x, y), 1, 1, facecolor="none", edgecolor="#E3B94B", hatch="////", linewidth=0))
            weight = "bold" if cell.verdict == "VIOLATED" else "normal"
            ax.text(x + 0.5, y + 0.53, _ratio(cell), ha="center", va="center", fontsize=6, color=ink, weight=weight)
        ax.set_xlim(0, len(problems))
        ax.set_ylim(len(theorems), 0)
        ax.set_xticks(
            np.arange(len(problems)) + 0.5, map(as_text, problems), rotation=50, ha="left", rotation_mode="anchor"
        )
        ax.set_yticks(np.arange(len(theorems)) + 0.5, lines)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        patches = [
            Patch(facecolor=face, edgecolor="#E3B94B" if v == "UNDECIDED" else "none",
                  hatch="////" if v == "UNDECIDED" else None, label=v.replace("_", " ").lower())
            for v, (face, _) in HEAT_COLOURS.items()
        ]  # fmt: skip
        figure.legend(
            handles=patches, loc="outside lower center", ncols=5, frameon=False,
            title="largest left side / right side over the methods that claim the theorem", title_fontsize=7.5,
        )  # fmt: skip
    return figure


def _ratio(cell: Heat) -> str:
    if cell.verdict == "NOT_APPLICABLE" or math.isnan(cell.ratio):
        return "" if cell.verdict == "NOT_APPLICABLE" else "?"
    if math.isinf(cell.ratio):
        return "inf"
    if cell.ratio >= 9995:
        return f"{cell.ratio:.0e}".replace("e+0", "e")
    return f"{cell.ratio:.3f}" if cell.ratio < 9.9995 else f"{cell.ratio:.4g}"

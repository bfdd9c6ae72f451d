"""The plots of numbers: scores by method, and learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.evaluation.quantities import QUANTITIES
from lmidiff.evaluation.tables import MethodInfo, values_by_subject
from lmidiff.figures.style import KIND_LOOKS, legend_below, line_look, sheet

SHOWN = tuple(q for q in QUANTITIES if q.key in ("ssim_brain", "psnr_brain", "dice_kmeans_mean"))
CURVE_COLUMNS = ("model", "step", "seconds", "loss")


def figure_scores(
    metrics: pd.DataFrame,
    methods: Sequence[MethodInfo],
    out_png: str | Path,
    out_pdf: str | Path,
    out_csv: str | Path,
    *,
    table: pd.DataFrame,
    sources: Sequence[str] | None = None,
) -> None:
    """Brain SSIM, brain PSNR and mean Dice by method: a point a subject, a box, the mean.

    A row of panels per source modality. The black bar is the mean with its 95 % interval, as
    Table 1 has it; a point is a subject's mean over trainings. An infinite PSNR is written as ∞, an
    absent combination as ``missing``: neither can be a point.

    Args:
        metrics: volume-level frame of one study.
        methods: rows of every panel, top to bottom.
        out_csv: the points drawn: ``source, method, label, quantity, subject, value``.
        table: frame of ``table1.csv``, whose means and intervals are drawn.
        sources: panels in order; ``None`` takes those in ``metrics``, sorted.

    Raises:
        StudyError: no scores, or a file cannot be written.
    """
    if sources is None:
        sources = sorted(metrics["source"].unique())
    if metrics.empty or not methods or not sources:
        raise StudyError("figure of scores: nothing to draw")
    points = _points(metrics, methods, sources)
    text = points.assign(value=[f"{value:.6f}" for value in points["value"]])
    write_text(out_csv, text.to_csv(index=False, lineterminator="\n"))

    height = 18 + len(sources) * (9 + 5.5 * len(methods))
    with sheet(height, out_png, out_pdf) as figure:
        grid = figure.subplots(len(sources), len(SHOWN), squeeze=False, sharey=True, sharex="col")
        for row, source in zip(grid, sources, strict=True):
            for axes, quantity in zip(row, SHOWN, strict=True):
                wanted = (points["source"] == source) & (points["quantity"] == quantity.key)
                cells = (table["source"] == source) & (table["quantity"] == quantity.key)
                _score_panel(axes, points[wanted], methods, table[cells].set_index("method"))
                axes.set_title(f"from {source}", loc="left", weight="bold")
        for axes, quantity in zip(grid[-1], SHOWN, strict=True):
            axes.set_xlabel(f"{quantity.title}\n(higher is better)")
        handles = [
            Line2D([], [], color=colour, marker=marker, ls="", ms=3.5, label=kind)
            for kind, (colour, marker) in KIND_LOOKS.items()
        ]
        mean = {"color": "black", "marker": "|", "ms": 6, "lw": 1.4}
        handles.append(Line2D([], [], **mean, label="mean, 95 % interval"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)


def figure_curves(
    curves: pd.DataFrame, labels: Mapping[str, str], out_png: str | Path, out_pdf: str | Path
) -> None:
    """Training loss of every model against optimiser steps and against time.

    The thin line is the loss as logged, the thick one its running mean over a twentieth of the log.
    Models minimise different losses: compare slopes and whether a curve has levelled, not heights.

    Args:
        curves: rows of ``model, step, seconds, loss``; other columns are ignored.
        labels: model key -> printed name, in the order of the legend; others are left out.

    Raises:
        StudyError: a column is missing, a loss is not finite, or no model has a curve.
    """
    lacking = [column for column in CURVE_COLUMNS if column not in curves]
    if lacking:
        raise StudyError(f"learning curves: no column {lacking[0]}")
    drawn = [key for key in labels if (curves["model"] == key).any()]
    if not drawn:
        raise StudyError("learning curves: no model has a curve")
    bad = curves[curves["model"].isin(drawn) & ~np.isfinite(curves["loss"])]
    if len(bad):
        raise StudyError(f"learning curves: {bad['model'].iloc[0]} has a loss that is not finite")

    with sheet(62 + 4.0 * -(-len(drawn) // 3), out_png, out_pdf) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for number, key in enumerate(drawn):
            rows = curves[curves["model"] == key].sort_values("step", kind="stable")
            look = line_look(number)
            smooth = rows["loss"].rolling(max(1, len(rows) // 20), min_periods=1).mean()
            for axes, x in zip(panels, (rows["step"], rows["seconds"] / 60), strict=True):
                axes.plot(x, rows["loss"], color=look["color"], lw=0.4, alpha=0.25)
                axes.plot(x, smooth, **look, label=labels[key])
        if (curves.loc[curves["model"].isin(drawn), "loss"] > 0).all():
            panels[0].set_yscale("log")
        panels[0].set(xlabel="optimiser step", ylabel="training loss (each model's own)")
        panels[1].set(xlabel="training time [min]")
        for axes in panels:
            axes.grid(alpha=0.25, lw=0.4)
        legend_below(figure, panels[0], 3)


def _points(
    metrics: pd.DataFrame, methods: Sequence[MethodInfo], sources: Sequence[str]
) -> pd.DataFrame:
    rows = []
    for source in sources:
        for method in methods:
            chosen = metrics[(metrics["source"] == source) & (metrics["method"] == method.key)]
            for quantity in SHOWN:
                for subject, value in values_by_subject(chosen, quantity).items():
                    rows.append((source, method.key, method.label, quantity.key, subject, value))
    columns = ["source", "method", "label", "quantity", "subject", "value"]
    return pd.DataFrame(rows, columns=columns).astype({"value": float})


def _score_panel(
    axes: Axes, points: pd.DataFrame, methods: Sequence[MethodInfo], cells: pd.DataFrame
) -> None:
    keys = [method.key for method in methods]
    finite = points[np.isfinite(points["value"])]
    if len(finite):
        sns.boxplot(
            finite,
            x="value",
            y="method",
            order=keys,
            ax=axes,
            color="0.93",
            linecolor="0.6",
            linewidth=0.5,
            width=0.6,
            showfliers=False,
        )
    for place, method in enumerate(methods):
        values = points.loc[points["method"] == method.key, "value"]
        shown = values[np.isfinite(values)]
        colour, marker = KIND_LOOKS[method.kind]
        # Fixed offsets instead of random jitter keep the file the same on every run.
        offsets = place + 0.16 * np.sin(2.4 * np.arange(len(shown)))
        look = {"color": colour, "marker": marker, "ls": "", "mew": 0}
        axes.plot(shown, offsets, **look, ms=2.6, alpha=0.7, zorder=3)
        if len(shown) == len(values) > 0:
            mean, low, high = cells.loc[method.key, ["mean", "low", "high"]].astype(float)
            axes.plot([low, high], [place, place], color="black", lw=1.4, zorder=4)
            axes.plot(mean, place, color="black", marker="|", ms=7, mew=1.4, zorder=4)
        infinite = int(np.isposinf(values).sum())
        note = "missing" if values.empty else f"∞ (n={infinite})" if infinite else ""
        if note:
            axes.text(
                0.98,
                place,
                note,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=6,
                color="0.35",
            )
    axes.set_yticks(range(len(methods)), [method.label for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set(xlabel="", ylabel="")
    axes.grid(axis="x", alpha=0.25, lw=0.4)

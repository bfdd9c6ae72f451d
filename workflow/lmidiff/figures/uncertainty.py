"""Uncertainty against error: sparsification curves and rank correlations by method."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.statistics import bootstrap_interval
from lmidiff.figures.style import MARKERS, legend_below, line_look, sheet


def figure_uncertainty(
    summary: pd.DataFrame,
    curves: pd.DataFrame,
    labels: Mapping[str, str],
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    seed: int = 0,
) -> None:
    """Draw a sparsification panel a source, and the rank correlation of every method.

    Args:
        summary, curves: see :func:`lmidiff.evaluation.uncertainty.frames`.
        labels: method key -> printed name, in order; methods without a spread are left out.
        seed: of the bootstrap.

    Raises:
        StudyError: no method has a spread, or a file cannot be written.
    """
    drawn = [key for key in labels if (summary["method"] == key).any()]
    if not drawn:
        raise StudyError("uncertainty: no method of the study draws more than one sample")
    sources = sorted(summary["source"].unique())
    looks = {key: line_look(number, "black") for number, key in enumerate(drawn)}
    with sheet(68 + 4 * -(-len(drawn) // 3), out_png, out_pdf) as figure:
        # The last panel's names need the room of a panel of their own.
        panels = figure.subplots(1, len(sources) + 1, squeeze=False)[0]
        for number, (axes, source) in enumerate(zip(panels, sources, strict=False)):
            _sparsification(axes, curves[curves["source"] == source], looks, labels)
            axes.set_title(f"from {source}", loc="left", weight="bold")
            if number == 0:
                axes.set_ylabel("mean absolute error of the rest\n(1: of the whole brain)")
            else:
                axes.sharey(panels[0])
        _correlations(panels[-1], summary, sources, looks, seed)
        for number, source in enumerate(sources):
            look = {"marker": MARKERS[number % len(MARKERS)], "ms": 3.5, "color": "0.3"}
            panels[0].plot([], [], **look, label=f"right: from {source}")
        legend_below(figure, panels[0], 3)


def _sparsification(axes, curves, looks, labels) -> None:
    for key, look in looks.items():
        own = curves[curves["method"] == key].groupby("removed")[["error", "oracle"]].mean()
        axes.plot(100 * own.index, own["error"], **look, label=labels[key])
        axes.plot(100 * own.index, own["oracle"], color=look["color"], lw=0.5, ls=(0, (1, 1)))
    axes.axhline(1, color="0.6", lw=0.6)
    axes.set(xlabel="most uncertain voxels\nremoved [%]", ylim=(0, None))
    axes.plot([], [], color="0.4", lw=0.5, ls=(0, (1, 1)), label="dotted: removed by true error")
    axes.plot([], [], color="0.6", lw=0.6, label="removed at random")
    axes.grid(alpha=0.25, lw=0.4)


def _correlations(axes, summary, sources, looks, seed) -> None:
    for place, (key, look) in enumerate(looks.items()):
        for number, source in enumerate(sources):
            chosen = (summary["method"] == key) & (summary["source"] == source)
            values = summary.loc[chosen, "spearman"].to_numpy()
            mean, low, high, _ = bootstrap_interval(values, seed=seed)
            y = place + (number - (len(sources) - 1) / 2) * 0.25
            axes.plot([low, high], [y, y], color=look["color"], lw=1.2)
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(mean, y, marker=marker, ms=3.5, color=look["color"], ls="")
    axes.axvline(0, color="0.6", lw=0.6, zorder=0)
    axes.set(
        xlabel="rank correlation of\nspread and error\n(mean, 95 % interval)",
        ylim=(len(looks) - 0.4, -0.6),
        yticks=[],
    )
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.25, lw=0.4)

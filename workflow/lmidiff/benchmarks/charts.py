"""The figures of the benchmarks."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from lmidiff.benchmarks.names import MEASURED, ONE_BLOCK, PHASES
from lmidiff.common.errors import StudyError
from lmidiff.figures.style import OKABE_ITO, legend_below, sheet

_ESTIMATORS = {
    ONE_BLOCK: (OKABE_ITO["black"], "D", "reference, one block\n(the authors' layout)"),
    "reference": (OKABE_ITO["vermillion"], "s", "reference, streamed"),
    "parzen": (OKABE_ITO["blue"], "o", "parzen"),
    "renyi2": (OKABE_ITO["green"], "^", "renyi2"),
}
_SAMPLERS = {
    "ancestral": (OKABE_ITO["vermillion"], "s", "-"),
    "ddim": (OKABE_ITO["blue"], "o", "--"),
    "dpm_solver": (OKABE_ITO["green"], "^", "-."),
}

_SPACINGS = {
    "trailing": ({}, ""),
    "quadratic": ({"mfc": "white", "ls": ":"}, ", quadratic times"),
    "log_snr": ({"mfc": "white", "ls": (0, (1, 3))}, ", times even in log-SNR"),
}


def figure_lmi(table: pd.DataFrame, png: str | Path, pdf: str | Path) -> None:
    """Time and peak memory of one map against the image's side, by estimator."""
    with sheet(66, png, pdf) as figure:
        panels = figure.subplots(1, 2)
        for name, (colour, marker, label) in _ESTIMATORS.items():
            rows = table[table["estimator"] == name].sort_values("size_px")
            if rows.empty:
                continue
            look = {"color": colour, "marker": marker, "ms": 3.5}
            sides, least = rows["size_px"], rows["seconds"] - rows["seconds_min"]
            most = rows["seconds_max"] - rows["seconds"]
            exponent = rows["exponent"].iloc[0]
            grows = "" if pd.isna(exponent) else f": time ~ pixels$^{{{exponent:.2f}}}$"
            panels[0].errorbar(sides, rows["seconds"] * 1e3, [least * 1e3, most * 1e3], **look)
            panels[1].plot(sides, rows["peak_memory_mb"], **look, label=label + grows)
        panels[0].set(ylabel="time of one cross map [ms]")
        panels[1].set(ylabel="peak memory above start [MB]")
        for axes in panels:
            axes.set(xlabel="side of the image [px]", yscale="log")
            _ticks_at(axes, sorted(table["size_px"].unique()))
        figure.legend(loc="outside right center", frameon=False)
        _note(figure, f"{table['device'].iloc[0]}; {table['image'].iloc[0]}; bars: all rounds")


def figure_end_to_end(table: pd.DataFrame, png: str | Path, pdf: str | Path) -> None:
    """Seconds to translate a slice, by setting."""
    with sheet(18 + 9 * len(table), png, pdf) as figure:
        axes = figure.subplots()
        for place, row in enumerate(table.itertuples()):
            seconds = row.seconds_per_slice
            shown = f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
            guessed = not pd.isna(row.extrapolated_from_steps)
            axes.barh(
                place,
                seconds,
                color=OKABE_ITO["sky"] if guessed else OKABE_ITO["blue"],
                hatch="///" if guessed else None,
                edgecolor="white",
                height=0.65,
            )
            times = row.times_the_default
            text = f"{shown} s  (× {f'{times:,.0f}' if times >= 10 else f'{times:.2g}'})"
            axes.annotate(
                text,
                (seconds, place),
                (3, 0),
                textcoords="offset points",
                va="center",
            )
        names = [
            f"{r.setting}\n{r.image_size_px} px, {r.steps} steps × {r.draws} draw"
            f"{'s' if r.draws > 1 else ''}"
            for r in table.itertuples()
        ]
        axes.set_yticks(range(len(table)), names)
        axes.invert_yaxis()
        low, high = table["seconds_per_slice"].min(), table["seconds_per_slice"].max()
        axes.set(xscale="log", xlim=(low / 4, high * 30), xlabel="time to translate a slice [s]")
        axes.grid(axis="x", alpha=0.25, lw=0.4)
        steps = table["extrapolated_from_steps"].max()
        handles = [Patch(facecolor=OKABE_ITO["blue"], label="measured whole")]
        if not pd.isna(steps):
            look = {"facecolor": OKABE_ITO["sky"], "edgecolor": "white", "hatch": "///"}
            handles.append(Patch(**look, label=f"extrapolated from {steps:.0f} steps"))
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
        _note(figure, table["device"].iloc[0])


def figure_throughput(table: pd.DataFrame, png: str | Path, pdf: str | Path) -> None:
    """Slices a second and the LMI's share of a step against the batch size."""
    rows = table[table["status"] == MEASURED]
    if rows.empty:
        raise StudyError("benchmark of throughput: nothing was measured")
    devices = list(dict.fromkeys(rows["device"]))
    colours = dict(zip(devices, (OKABE_ITO["blue"], OKABE_ITO["vermillion"]), strict=False))
    with sheet(104, png, pdf) as figure:
        grid = figure.subplots(2, 2, sharex=True, sharey="row")
        keys = ["device", "precision", "channels_last", "compiled"]
        for key, part in rows.groupby(keys, sort=False):
            device, precision, last, compiled = key
            label = f"{device}, {precision}{', channels last' if last else ''}"
            look = {
                "color": colours[device],
                "ls": "-" if precision == "float32" else "--",
                "marker": "o" if last else "s",
                "mfc": "white" if last else colours[device],
                "ms": 3.5,
                "label": label + (", compiled" if compiled else ""),
            }
            for column, phase in enumerate(PHASES):
                found = part[part["phase"] == phase].sort_values("batch")
                grid[0, column].plot(found["batch"], found["slices_per_second"], **look)
                grid[1, column].plot(found["batch"], 100 * found["lmi_share"], **look)
        for column, phase in enumerate(PHASES):
            grid[0, column].set(title=phase, ylim=(0, 1.1 * rows["slices_per_second"].max()))
            grid[0, column].grid(alpha=0.25, lw=0.4)
            grid[1, column].set(xlabel="batch [slices]")
            _ticks_at(grid[1, column], sorted(rows["batch"].unique()))
        grid[0, 0].set_ylabel("throughput [slices/s]")
        grid[1, 0].set_ylabel("LMI's share of the step [%]")
        grid[1, 0].set_ylim(bottom=0)
        legend_below(figure, grid[0, 0], 2)


def figure_processors(table: pd.DataFrame, png: str | Path, pdf: str | Path) -> None:
    """Seconds of a step by processor, as many panels as phases."""
    with sheet(14 + 8 * table["processor"].nunique(), png, pdf) as figure:
        for axes, phase in zip(figure.subplots(1, len(PHASES), sharey=True), PHASES, strict=True):
            rows = table[table["phase"] == phase]
            places, seconds = range(len(rows)), rows["seconds_per_step"]
            axes.barh(places, seconds.fillna(0), color=OKABE_ITO["blue"], height=0.65)
            for place, row in zip(places, rows.itertuples(), strict=True):
                ran = row.status == MEASURED
                text = f"{row.seconds_per_step:.3g} s  (× {row.times_this_processor:.2g})"
                at = (row.seconds_per_step if ran else 0, place)
                told = {"textcoords": "offset points", "va": "center"}
                axes.annotate(text if ran else row.status, at, (3, 0), **told)
            axes.set_yticks(places, [f"{r.processor}\n{r.precision}" for r in rows.itertuples()])
            axes.set(xlabel=f"{phase} [s]", xlim=(0, 1.7 * seconds.max()))
            axes.grid(axis="x", alpha=0.25, lw=0.4)
        axes.invert_yaxis()
        first = table.iloc[0]
        _note(figure, f"{first['device']}; {first['model']}, {first['batch']} slices a batch")


def figure_pareto(
    table: pd.DataFrame, quantities: Sequence[tuple[str, str]], png: str | Path, pdf: str | Path
) -> None:
    """Quality against network evaluations a slice, by sampler and spacing of its times.

    Args:
        table: see :func:`lmidiff.benchmarks.pareto.pareto_table`.
        quantities: key and axis label of each panel.
    """
    with sheet(70, png, pdf) as figure:
        panels = figure.subplots(1, len(quantities), squeeze=False)[0]
        for axes, (key, title) in zip(panels, quantities, strict=True):
            chosen = table[table["quantity"] == key]
            kinds = chosen.groupby(["sampler", "spacing", "source"], sort=False)
            for (sampler, spacing, source), rows in kinds:
                colour, marker, line = _SAMPLERS[sampler]
                marks, said = _SPACINGS[spacing]
                rows = rows.sort_values("network_evaluations")
                spread = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
                look = {"color": colour, "marker": marker, "ls": line, "ms": 3.5, "capsize": 1.5}
                look |= {"mfc": colour, **marks}
                label = f"{sampler}{said}, from {source}"
                at = rows["network_evaluations"]
                axes.errorbar(at, rows["mean"], spread, **look, elinewidth=0.6, label=label)
            axes.set(xlabel="network evaluations a slice", ylabel=title)
            _ticks_at(axes, sorted(table["network_evaluations"].unique()))
        legend_below(figure, panels[0], 2)
        _note(figure, "one draw; bars: 95 % bootstrap interval over subjects")


def _ticks_at(axes: Axes, values: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, lw=0.4)


def _note(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=6, color="0.35")

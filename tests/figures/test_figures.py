import itertools
import struct

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.panel import Panel, choose_roi
from lmidiff.evaluation.tables import MethodInfo, table1
from lmidiff.figures.figure2 import figure2
from lmidiff.figures.scores import figure_curves, figure_scores
from lmidiff.figures.style import OKABE_ITO, TISSUE_COLOURS, drawable
from lmidiff.report.table_writers import tidy

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
COLOUR_VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
METHODS = {"plain": "Source untouched", "lmi": "LMIDiffusion (paper's form)"}
INFOS = [
    MethodInfo("oracle", "True T1w", "nothing", "-", False, ceiling=True),
    MethodInfo("lmi", "LMIDiffusion", "target", "-", True),
    MethodInfo("sup", "Supervised", "pairs", "-", False),
    MethodInfo("gone", "Never ran", "target", "-", True),
]


def panel(**changes) -> Panel:
    generator = np.random.default_rng(0)
    x, y = np.mgrid[:40, :50]
    radius = np.hypot((x - 20) / 16, (y - 25) / 21)
    labels = np.select([radius < 0.3, radius < 0.6, radius < 1], [1, 3, 2], 0)
    image = labels / 3 + generator.normal(0, 0.02, labels.shape) * (labels > 0)
    keys = ("source", "target", *METHODS)
    settings = {
        "title": "PDw",
        "subtitle": "sub-01, z = 5",
        "images": dict.fromkeys(keys, image),
        "labels": dict.fromkeys(keys, labels),
        "pixel_size": 2.0,
    }
    return Panel(**{**settings, **changes})


def metrics() -> pd.DataFrame:
    rows = []
    for method, level in (("oracle", 1.0), ("lmi", 0.7), ("sup", 0.9)):
        for number in range(5):
            value = level - 0.02 * number * (level < 1)
            key = ("demo", method, "PDw", "T1w", f"{number:03d}", 1)
            rows.append((*key, "brain", "ssim", value))
            rows.append((*key, "brain", "psnr", np.inf if level == 1 else 20 * value))
            rows += [(*key, tissue, "dice_kmeans", value) for tissue in ("csf", "gm", "wm")]
    keys = ["study", "method", "source", "target", "subject", "seed", "region", "metric", "value"]
    return pd.DataFrame(rows, columns=keys)


def curves() -> pd.DataFrame:
    parts = []
    for model in ("a", "b", "left out"):
        step = np.arange(0, 500, 10)
        part = {"model": model, "step": step, "seconds": step * 0.2, "loss": 1 / (1 + step)}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def png_size(path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def draw_grid(folder, name):
    figure2([panel(), panel(title="T2w")], METHODS, folder / f"{name}.png", folder / f"{name}.pdf")


def draw_scores(folder, name):
    files = (folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv"))
    figure_scores(metrics(), INFOS, *files, table=table_of(folder))


def table_of(folder) -> pd.DataFrame:
    """Table 1 of the scores, as its file has it."""
    tidy(table1(metrics(), INFOS)).to_csv(folder / "table1.csv", index=False)
    return pd.read_csv(folder / "table1.csv")


def draw_curves(folder, name):
    labels = {"a": "Model A", "b": "Model B", "c": "No curve"}
    figure_curves(curves(), labels, folder / f"{name}.png", folder / f"{name}.pdf")


@pytest.mark.parametrize("draw", [draw_grid, draw_scores, draw_curves])
def test_files_are_180_mm_wide_and_the_same_every_time(tmp_path, draw):
    draw(tmp_path, "first")
    draw(tmp_path, "second")
    assert png_size(tmp_path / "first.png")[0] == int(180 / 25.4 * 300)
    for kind in ("png", "pdf"):
        data = (tmp_path / f"first.{kind}").read_bytes()
        assert len(data) > 5000
        assert data == (tmp_path / f"second.{kind}").read_bytes()
    pdf = (tmp_path / "first.pdf").read_bytes()
    assert b"CreationDate" not in pdf
    assert b"/Type3" not in pdf, "fonts are embedded as TrueType"


def test_anterior_is_up_and_left_is_left(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    shown = []
    original = Axes.imshow

    def spy(self, array, **settings):
        shown.append((array, settings))
        return original(self, array, **settings)

    monkeypatch.setattr(Axes, "imshow", spy)
    image = np.full((40, 50), 0.5)
    image[0, 49] = 1.0  # left, anterior
    image[39, 0] = 0.2  # right, posterior
    figure2(
        [panel(images={"source": image, "target": image}, labels={}, rois=((5, 5, 12, 12),))],
        {"x": "X"},
        tmp_path / "a.png",
        tmp_path / "a.pdf",
    )
    array, settings = shown[0]
    assert array[0, 0] == 1.0
    assert array[-1, -1] == 0.2
    assert settings["extent"] == (-0.5, 39.5, -0.5, 49.5)
    assert (settings["vmin"], settings["vmax"]) == (0, 1)
    close, settings = shown[1]
    assert close.shape == (12, 12)
    assert settings["extent"] == (4.5, 16.5, 4.5, 16.5)


def test_close_up_holds_all_tissues():
    x, y, width, height = choose_roi(panel().labels["target"], 12)
    part = panel().labels["target"][x : x + width, y : y + height]
    assert (width, height) == part.shape == (12, 12)
    assert min((part == label).sum() for label in (1, 2, 3)) > 10
    assert choose_roi(np.zeros((5, 6)), 12) == (0, 0, 5, 5)


def test_tissues_are_told_apart_by_everyone_and_in_grey():
    colours = ["#000000", *TISSUE_COLOURS.values()]
    assert set(TISSUE_COLOURS.values()) <= set(OKABE_ITO.values())
    for matrix in COLOUR_VISION.values():
        seen = [_lab(colour, np.array(matrix)) for colour in colours]
        for a, b in itertools.combinations(seen, 2):
            assert deltaE_ciede2000(a, b) > 20
    lightness = sorted(_lab(colour, np.eye(3))[0] for colour in colours)
    assert np.diff(lightness).min() > 12


def _lab(colour: str, matrix: np.ndarray) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(matrix @ linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb[None, None])[0, 0]


def test_scores_come_with_the_numbers_drawn(tmp_path):
    draw_scores(tmp_path, "scores")
    frame = pd.read_csv(tmp_path / "scores.csv", dtype={"subject": str})
    assert list(frame) == ["source", "method", "label", "quantity", "subject", "value"]
    assert len(frame) == 3 * 5 * 3
    lmi = frame[(frame.method == "lmi") & (frame.quantity == "dice_kmeans_mean")]
    assert lmi["value"].tolist() == pytest.approx([0.7, 0.68, 0.66, 0.64, 0.62])


def test_what_cannot_be_drawn(tmp_path):
    out = (tmp_path / "x.png", tmp_path / "x.pdf")
    with pytest.raises(StudyError, match="at least one panel"):
        figure2([], METHODS, *out)
    with pytest.raises(StudyError, match="no target"):
        panel(images={"source": np.zeros((40, 50))})
    with pytest.raises(StudyError, match="lmi: shape"):
        panel(images={**panel().images, "lmi": np.zeros((4, 5))})
    for roi in ((35, 0, 10, 10), (0, 45, 10, 10), (-1, 0, 5, 5), (0, 0, 0, 5)):
        with pytest.raises(StudyError, match="roi"):
            panel(rois=(roi,))
    files = (*out, tmp_path / "x.csv")
    with pytest.raises(StudyError, match="nothing to draw"):
        figure_scores(metrics().iloc[:0], INFOS, *files, table=pd.DataFrame())
    with pytest.raises(StudyError, match="no column loss"):
        figure_curves(curves().drop(columns="loss"), {"a": "A"}, *out)
    with pytest.raises(StudyError, match="no model"):
        figure_curves(curves(), {"z": "Z"}, *out)
    with pytest.raises(StudyError, match="not finite"):
        figure_curves(curves().assign(loss=np.nan), {"a": "A"}, *out)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 8])
def test_few_and_many_methods(tmp_path, count):
    methods = {f"m{i}": "Contrast-randomised regression" for i in range(count)}
    images = {**panel().images, **dict.fromkeys(methods, panel().images["target"])}
    panels = [panel(images=images, pixel_size=0.94)] * 2
    figure2(panels, methods, tmp_path / "a.png", tmp_path / "a.pdf")
    width, height = png_size(tmp_path / "a.png")
    assert height < 1.6 * width, "fits a page"


def test_names_that_the_font_does_not_have_are_drawn_as_far_as_they_can():
    assert drawable("sub-01 é Ω") == "sub-01 é Ω"
    assert drawable("患者_a") == "??_a"
    assert drawable("x\udcff") == "x?"  # of a name that is no text

"""What the figures beside the paper's say: laws, closed forms and other libraries as oracles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy.stats import rankdata

import lmidiff
from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.evaluation.data_quality import check_volumes, odd_ones
from lmidiff.evaluation.failures import worst_slices
from lmidiff.evaluation.pictures import intensities, read_pictures, write_pictures
from lmidiff.evaluation.rows import SHOWN, rows_beside, rows_of_table
from lmidiff.evaluation.tables import MethodInfo, table1
from lmidiff.evaluation.through_plane import flicker_of, step_between_slices
from lmidiff.evaluation.uncertainty import (
    FRACTIONS,
    area_between,
    measure,
    rank_correlation,
    sparsification,
)
from lmidiff.figures.panels import cut_panels, drawn_cells, read_panels
from lmidiff.guidance import condition_maps, static_maps
from lmidiff.methods import make
from lmidiff.methods.trajectories import Plane, lmi_along, sample_paths, spaced
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.options import Sampling
from lmidiff.report.table_writers import tidy
from lmidiff.study.models import merge
from lmidiff.study.shown import figure1_models, flow
from lmidiff.study.study import Study


@pytest.fixture
def config() -> dict:
    return yaml.safe_load(open("config/config.yaml"))


@pytest.fixture(autouse=True)
def _at_root(monkeypatch, request) -> None:
    monkeypatch.chdir(request.config.rootpath)


# -- pictures -------------------------------------------------------------------------------------


def test_pictures_keep_labels_exactly_and_intensities_to_half_a_level(tmp_path):
    generator = np.random.default_rng(0)
    image, labels = generator.random((9, 7)), generator.integers(0, 4, (9, 7))
    index = [{"subject": "sub-01", "slice": 3}]
    for name in ("a", "b"):
        write_pictures(tmp_path / name, {"i": image, "l": labels, "b": labels > 1}, index)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    pictures, found = read_pictures(tmp_path / "a")
    assert found == index
    assert np.array_equal(pictures["l"], labels)
    assert np.array_equal(pictures["b"], labels > 1)
    assert np.abs(intensities(pictures["i"]) - image).max() <= 0.5 / 255 + 1e-6


def test_a_damaged_or_missing_file_of_pictures_is_one_line(tmp_path):
    path = tmp_path / "p.safetensors"
    with pytest.raises(StudyError, match="missing"):
        read_pictures(path)
    write_pictures(path, {"i": np.zeros((4, 4))}, [])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(StudyError, match="not a readable file of pictures"):
        read_pictures(path)


def volume(path, array, edges=(2.0, 2.0, 4.0)) -> str:
    write_nifti(path, np.asarray(array, dtype=np.float32), np.diag([*edges, 1.0]))
    return str(path)


def test_panels_survive_the_cut(tmp_path):
    ramp = np.linspace(0, 1, 8 * 6 * 5).reshape(8, 6, 5)
    labels = np.round(3 * ramp)
    files = [
        {
            "source": "PDw",
            "subject": "sub-01",
            "images": {key: volume(tmp_path / f"{key}.nii.gz", ramp) for key in ("source", "x")}
            | {"target": volume(tmp_path / "t.nii.gz", ramp**2)},
            "labels": {"target": volume(tmp_path / "l.nii.gz", labels)},
        }
    ]
    cut_panels(files, 0.5, 2.0, tmp_path / "cut")
    settings = {"roi": [[0.25, 0, 0.5], [0, 0, 0.25]]}
    (panel,) = read_panels(tmp_path / "cut", settings)
    assert panel.title == "PDw"
    assert panel.subtitle == "sub-01, slice 3 of 5"
    assert panel.rois == ((2, 0, 6, 6), (0, 0, 6, 6))  # as large as the image lets them
    assert np.abs(panel.images["x"] - ramp[:, :, 2]).max() < 0.002
    assert np.array_equal(panel.labels["target"], labels[:, :, 2])
    cells = drawn_cells([panel], {"x": "X", "gone": "Gone"}).set_index("column")
    brain = labels[:, :, 2] > 0
    expected = np.abs(ramp - ramp**2)[:, :, 2][brain].mean()
    assert float(cells.loc["x", "mae"]) == pytest.approx(expected, abs=0.003)
    assert float(cells.loc["target", "mae"]) == 0
    assert pd.isna(cells.loc["gone", "mae"])


# -- failures -------------------------------------------------------------------------------------


def test_the_worst_slice_is_the_lowest_score_and_ties_go_to_the_first():
    rows = [
        (method, source, subject, z, "brain", "ssim", value)
        for method, source, subject, z, value in (
            ("a", "T2w", "sub-2", 0, 0.3),
            ("a", "PDw", "sub-1", 7, 0.3),
            ("a", "PDw", "sub-1", 3, 0.9),
            ("b", "PDw", "sub-1", 1, float("nan")),
            ("b", "PDw", "sub-1", 2, -0.5),
            ("c", "PDw", "sub-1", 2, float("nan")),
        )
    ]
    rows.append(("a", "PDw", "sub-1", 5, "brain", "psnr", -9.0))
    rows.append(("a", "PDw", "sub-1", 5, "image", "ssim", -9.0))
    columns = ["method", "source", "subject", "slice", "region", "metric", "value"]
    slices = pd.DataFrame(rows, columns=columns).assign(seed=1)
    worst = worst_slices(slices, ["b", "a", "c"]).set_index("method")
    assert list(worst.index) == ["b", "a"]
    assert list(worst.loc["a", ["source", "subject", "slice"]]) == ["PDw", "sub-1", 7]
    assert worst.loc["b", "ssim_brain"] == -0.5
    assert worst.loc["a", "median_ssim_brain"] == pytest.approx(0.3)
    with pytest.raises(StudyError, match="no slice"):
        worst_slices(slices, ["c"])


# -- through the plane ----------------------------------------------------------------------------


def test_step_between_slices_of_a_ramp_is_its_slope_and_of_the_truth_no_flicker(tmp_path):
    shape = (6, 5, 8)
    ramp = np.broadcast_to(0.05 * np.arange(8), shape)
    mask = np.ones(shape, dtype=bool)
    assert step_between_slices(ramp, mask) == pytest.approx(0.05)
    alternating = np.broadcast_to(np.arange(8) % 2, shape) * 0.3
    assert step_between_slices(alternating, mask) == pytest.approx(0.3)
    holed = mask.copy()
    holed[:, :, ::2] = False
    assert np.isnan(step_between_slices(ramp, holed))
    with pytest.raises(StudyError, match="flicker"):
        step_between_slices(ramp, mask[1:])
    files = {
        "target": volume(tmp_path / "t.nii.gz", ramp),
        "mask": volume(tmp_path / "m.nii.gz", mask),
    }
    same = {"sub-1": {**files, "image": files["target"]}}
    shaky = {"sub-1": {**files, "image": volume(tmp_path / "i.nii.gz", alternating)}}
    assert flicker_of("PDw", "x", same)[0][-1] == 0
    assert flicker_of("PDw", "x", shaky)[0][-1] == pytest.approx(0.25, abs=1e-6)


# -- uncertainty ----------------------------------------------------------------------------------


def test_sparsification_against_brute_force_and_its_two_ends():
    generator = np.random.default_rng(1)
    error = generator.exponential(size=500)
    order = error + generator.normal(size=500)
    curve = sparsification(order, error)
    for fraction, value in zip(FRACTIONS, curve, strict=True):
        left = round(500 * (1 - fraction))
        kept = sorted(zip(order, error, strict=True))[:left]
        assert value == pytest.approx(np.mean([e for _, e in kept]) / error.mean())
    oracle = sparsification(error, error)
    assert (np.diff(oracle) < 0).all()
    assert (curve >= oracle - 1e-12).all()
    assert area_between(oracle, oracle) == 0
    assert area_between(np.ones(20), 1 - FRACTIONS) == pytest.approx(0.95 / 2)
    chance = [sparsification(generator.random(500), error) for _ in range(200)]
    assert np.mean(chance, axis=0) == pytest.approx(np.ones(20), abs=0.06)


def test_rank_correlation_is_pearsons_of_the_ranks():
    generator = np.random.default_rng(2)
    error = generator.random(300)
    spread = error + generator.random(300)
    by_hand = np.corrcoef(rankdata(spread), rankdata(error))[0, 1]
    assert rank_correlation(spread, error) == pytest.approx(by_hand)
    assert rank_correlation(np.exp(error), error) == pytest.approx(1)
    assert np.isnan(rank_correlation(np.ones(300), error))


def test_a_spread_that_knows_its_errors_is_told_from_one_that_does_not(tmp_path):
    generator = np.random.default_rng(3)
    truth, error = generator.random((8, 8, 4)), generator.random((8, 8, 4)) * 0.4
    files = {
        "image": volume(tmp_path / "i.nii.gz", truth + error),
        "target": volume(tmp_path / "t.nii.gz", truth),
        "mask": volume(tmp_path / "m.nii.gz", np.ones((8, 8, 4))),
        "spread": volume(tmp_path / "s.nii.gz", error / 3),
    }
    (row,), points = measure("PDw", "x", {"sub-1": files})
    assert row[3] == pytest.approx(1, abs=1e-3)
    assert row[4] == pytest.approx(0, abs=1e-3)
    assert row[6] == pytest.approx(error.mean(), abs=1e-4)
    assert len(points) == len(FRACTIONS)
    files["spread"] = volume(tmp_path / "s.nii.gz", 1 - error)
    (row,), _ = measure("PDw", "x", {"sub-1": files})
    assert row[3] == pytest.approx(-1, abs=1e-3)
    assert row[4] > row[5] > 0
    assert measure("PDw", "x", {"sub-1": {**files, "spread": "gone"}}) == ([], [])


# -- cost and ablation ----------------------------------------------------------------------------


def metrics() -> pd.DataFrame:
    rows = []
    for number in range(6):
        for method, value in (("base", 0.5), ("better", 0.6), ("same", 0.5)):
            noise = 0.01 * (-1) ** number * (method == "same")
            for metric, region in (("ssim", "brain"), ("dice_kmeans", "csf")):
                score = value + number / 100 + noise
                rows.append(("PDw", method, f"sub-{number}", region, metric, score))
    return pd.DataFrame(
        rows, columns=["source", "method", "subject", "region", "metric", "value"]
    ).assign(study="s", target="T1w", seed=1)


INFOS = [MethodInfo(key, key, "target", "nothing", True) for key in ("base", "better", "same")]


def test_figures_read_their_intervals(tmp_path):
    tidy(table1(metrics(), INFOS, seed=4)).to_csv(tmp_path / "table1.csv", index=False)
    table = pd.read_csv(tmp_path / "table1.csv")
    labels = {"base": "B", "better": "+", "same": "="}
    rows = rows_of_table(table, labels, ["PDw"])
    held = table.set_index(["method", "quantity"])
    for row in rows.itertuples():
        cell = held.loc[(row.method, row.quantity)]
        assert (row.mean, row.low, row.high) == (cell["mean"], cell["low"], cell["high"])
    comparisons = pd.DataFrame(
        [
            ("PDw", "base", m, q.key, d, d - 1, d + 1)
            for m, d in (("better", 0.1), ("same", 0.0))
            for q in SHOWN
        ],
        columns=["source", "reference", "method", "quantity", "difference", "low", "high"],
    )
    beside = rows_beside(table, comparisons, labels, ["PDw"], "base").set_index(
        ["method", "quantity"]
    )
    assert beside.loc[("better", "ssim_brain"), "difference_low"] == pytest.approx(-0.9)
    assert beside.loc[("base", "ssim_brain"), "difference"] == 0
    with pytest.raises(
        StudyError, match=r"reference is gone, but comparisons.csv compares with base"
    ):
        rows_beside(table, comparisons, labels, ["PDw"], "gone")


def test_an_interval_is_drawn_by_lot_in_one_place():
    """A mean's by the table, what no table has by its own figure, a difference's by verdicts."""
    package = Path(lmidiff.__file__).parent
    users = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "bootstrap_interval(" in path.read_text() and path.name != "statistics.py"
    }
    assert users == {"evaluation/crossed.py", "figures/through_plane.py", "figures/uncertainty.py"}
    lots = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "hierarchical_intervals(" in path.read_text()
    }
    assert {path.split("/")[0] for path in lots} == {"verdicts"}


# -- trajectories ---------------------------------------------------------------------------------


def test_the_plane_is_that_of_a_singular_value_decomposition():
    generator = np.random.default_rng(4)
    slices = generator.random((20, 5, 6))
    plane = Plane.of(slices)
    flat = slices.reshape(20, -1) - slices.reshape(20, -1).mean(0)
    _, values, axes = np.linalg.svd(flat, full_matrices=False)
    assert np.abs(np.sum(plane.axes * axes[:2], axis=1)) == pytest.approx(1)
    assert plane.explained == pytest.approx(values[:2] ** 2 / (values**2).sum())
    assert np.abs(plane.project(slices)) == pytest.approx(np.abs(flat @ axes[:2].T))


def small_model(config: dict, condition: str) -> DiffusionModel:
    settings = merge(config["model_defaults"], {"guidance": {"condition": condition}})
    settings["unet"] = {"channels": [8], "attention": [False], "groups": 4, "head_channels": 4}
    settings["training"] = {**settings["training"], "seed": 1}
    model = DiffusionModel(settings, torch.device("cpu"))
    model.network.eval()
    # A fresh network ends in zeros; then every path would be the same.
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.manual_seed(3)))
    return model


def test_paths_end_where_the_translation_is(config):
    model = small_model(config, "both")
    source = torch.rand(1, 1, 16, 16, generator=torch.manual_seed(0))
    block = {"sampler": "ancestral", "spacing": "quadratic", "steps": 4, "draws": 3}
    block |= {"variance": "large", "final_noise": True}
    sampling = Sampling(**block)
    path, times = sample_paths(model, source, ("sub-1", 2), sampling, seed=5)
    assert path.shape == (5, 3, 16, 16)
    assert (times[0], times[-1]) == (999, -1)
    method = make("lmidiffusion", block, model, 5)
    with torch.no_grad():
        translated = method.translate(source, [("sub-1", 2)]).image[0, 0].numpy()
    ends = path[-1].clip(0, 1).mean(0)
    assert ends == pytest.approx(translated, abs=1e-5)
    unguided, _ = sample_paths(small_model(config, "none"), source, ("sub-1", 2), sampling, seed=5)
    assert unguided[0] == pytest.approx(path[0]), "both start from the same noise"
    assert np.abs(unguided[-1] - path[-1]).max() > 0.01


def test_maps_along_the_way_are_the_models_own(config):
    model = small_model(config, "both")
    source = torch.rand(1, 1, 16, 16, generator=torch.manual_seed(0))
    path = np.random.default_rng(0).random((5, 16, 16)).astype(np.float32)
    cross, own = lmi_along(model, source, path, [0, 4])
    sample = torch.from_numpy(path[4])[None, None]
    static = static_maps(source, model.guidance)
    maps = condition_maps(source, sample, static, model.guidance)[0].numpy()
    assert cross[1] == pytest.approx(maps[0], abs=1e-6)
    assert own == pytest.approx(maps[1], abs=1e-6)
    assert spaced(24, 6) == [0, 5, 10, 14, 19, 24]
    assert spaced(2, 6) == [0, 1, 2]


# -- the study's own rows -------------------------------------------------------------------------


def test_the_data_flow_shows_what_the_rules_are_handed(config):
    study = Study(config)
    edges = set(flow(study))
    for model in study.rows.used_models:
        shown = {e[1] for e in edges if (e[0], *e[2:4]) == ("data", "model", model)}
        files = {file for files in study.models.files(model).values() for file in files}
        assert len(shown) == len({file.rsplit("_", 1)[1] for file in files}), model
    people = f"{len(study.people.subjects('test'))} people"
    sources = ", ".join(study.sources)
    assert ("data", f"test|{sources}", "method", "source", people) in edges
    assert ("data", f"test|{study.target} + {sources}", "method", "oracle", people) in edges
    assert ("data", f"test|{study.target}", "method", "sdedit", people) not in edges
    tuned = {end for _, start, _, end, _ in edges if start.startswith("val|")}
    assert tuned == {name for name, block in study.rows.methods.items() if block.get("tune")}
    assert {start for _, start, _, _, _ in edges if start.startswith("val|")} == {"val|T1w"}
    assert {start for _, start, _, end, _ in edges if end == "segment"} >= set(study.rows.methods)


def test_figure_one_needs_a_guided_and_an_unguided_model(config):
    found = figure1_models(Study(config))
    assert config["models"][found["unguided"]]["guidance"]["condition"] == "none"
    assert found["guided"] == "lmidiffusion"
    unguided = [n for n, b in config["methods"].items() if b.get("model") == found["unguided"]]
    without = merge(config, {"methods": dict.fromkeys(unguided)})
    assert figure1_models(Study(without)) == {}


# -- data quality ---------------------------------------------------------------------------------


def test_a_shifted_and_a_dim_volume_stand_out(tmp_path):
    generator = np.random.default_rng(5)
    subjects, splits = {}, {}
    mask = np.zeros((12, 12, 6))
    mask[2:10, 2:10, 1:5] = 1
    for number in range(8):
        name = f"sub-{number}"
        truth = np.round(generator.random(mask.shape) * 3) / 4 * mask
        source = (1 - truth) * mask * (0.3 if number == 3 else 1)
        if number == 6:
            source = np.roll(source, 3, axis=0) * mask
        folder = tmp_path / name
        subjects[name] = {
            "T1w": volume(folder / "t.nii.gz", truth),
            "PDw": volume(folder / "s.nii.gz", source),
            "mask": volume(folder / "m.nii.gz", mask),
        }
        splits[name] = "train"
    quality = check_volumes(subjects, splits, "T1w", "mask")
    assert quality["brain_ml"].unique() == pytest.approx(8 * 8 * 4 * 16 / 1000)
    assert set(odd_ones(quality, 2)) == {"sub-3", "sub-6"}
    truths = quality[quality["modality"] == "T1w"]
    assert truths["nmi_with_target"].tolist() == pytest.approx([2.0] * 8)

"""The benchmarks run, and write what they say; no test looks at how fast anything is."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from brain_mask.alignment import summarise_subjects
from brain_mask.real_alignment import edge_agreement, summarise_pairs
from lmidiff.benchmarks import end_to_end, lmi, processors, throughput
from lmidiff.benchmarks.cases import model_settings, sampling_settings, slices
from lmidiff.benchmarks.charts import (
    figure_end_to_end,
    figure_lmi,
    figure_pareto,
    figure_processors,
    figure_throughput,
)
from lmidiff.benchmarks.measure import (
    NO_GPU,
    interleaved,
    load_config,
    load_settings,
    one_block,
    timed_lmi,
)
from lmidiff.benchmarks.names import MEASURED, ONE_BLOCK
from lmidiff.benchmarks.overhead import COLUMNS as OF_PLANS
from lmidiff.benchmarks.overhead import plans
from lmidiff.benchmarks.pareto import COLUMNS, SHOWN, pareto_table
from lmidiff.common.errors import StudyError
from lmidiff.common.files import sha256, sha256_of
from lmidiff.lmi import local_mutual_information
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.options import PAPER
from lmidiff.records.provenance import modules_behind, versions
from lmidiff.study.rates import OVERHEAD
from workflows import ROOT, SMOKE, copy_project, jobs_of, run

CONFIG = Path(__file__).parents[2] / "config"
REFERENCE = ROOT / "results" / "reference"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def quick():
    return load_settings(CONFIG / "bench.yaml", quick=True)


@pytest.fixture(scope="module")
def default():
    return load_config(CONFIG / "config.yaml")


@pytest.fixture(scope="module")
def paper():
    return load_config(CONFIG / "config.yaml", CONFIG / "paper.yaml")


def drawn(tmp_path, draw, *args):
    files = tmp_path / "figure.png", tmp_path / "figure.pdf"
    draw(*args, *files)
    return all(file.stat().st_size > 1000 for file in files)


def test_quick_settings_are_laid_over_the_full_ones(quick):
    full = load_settings(CONFIG / "bench.yaml")
    assert set(full["lmi"]["rounds"]) >= {64, 128, 256, 512}
    assert full["end_to_end"]["timed_steps"] >= 20
    assert quick["end_to_end"] == {
        **full["end_to_end"],
        "timed_steps": 1,
        "default_only_size": True,
    }


def test_rounds_are_interleaved():
    order = []
    functions = {
        name: lambda name=name: order.append(name) or sum(range(3 * 10**6)) for name in "ab"
    }
    table = interleaved(functions, 3, CPU)
    assert "".join(order).endswith("ababab")
    assert list(table) == ["a", "b"]
    assert (table > 0).all(axis=None)


def test_one_block_changes_no_value():
    y, x = (lmi.image(20, seed) for seed in (1, 2))
    streamed = local_mutual_information(y, x, estimator="reference")
    with one_block():
        whole = local_mutual_information(y, x, estimator="reference")
    torch.testing.assert_close(whole, streamed)


def test_lmi(quick, tmp_path):
    table = lmi.benchmark(quick["lmi"], CPU)
    assert list(table) == list(lmi.COLUMNS)
    assert set(table["estimator"]) == {ONE_BLOCK, "reference", "parzen", "renyi2"}
    assert (table[["seconds", "seconds_min", "times_faster_than_reference"]] > 0).all(axis=None)
    assert (table.loc[table["estimator"] == "reference", "times_faster_than_reference"] == 1).all()
    measured = table[table["size_px"] == quick["lmi"]["memory_from"]]
    assert (measured["peak_memory_mb"] > -1).all()  # small maps fit into memory held already
    assert np.isfinite(table.loc[table["estimator"] == "renyi2", "exponent"]).all()
    assert table["device"].str.len().gt(0).all()
    assert drawn(tmp_path, figure_lmi, table)


def test_end_to_end(quick, default, paper, tmp_path):
    table = end_to_end.benchmark(quick["end_to_end"], CPU, default, paper)
    assert list(table) == list(end_to_end.COLUMNS)
    assert table["setting"].is_unique
    assert table["extrapolated_from_steps"].iloc[:2].isna().all(), "ours are run whole"
    assert (table["extrapolated_from_steps"].iloc[2:] == 1).all()
    short = table.iloc[1]
    assert (short["steps"], short["draws"], short["times_the_short"]) == (25, 1, 1)
    assert table["times_the_default"].iloc[0] == 1
    assert (table[["seconds_per_step", "seconds_per_slice", "lmi_share"]] > 0).all(axis=None)
    assert (table["lmi_share"] <= 1).all()
    # What was timed for one step stands for all thousand.
    rows = table.iloc[2:]
    assert (rows["seconds_per_slice"] >= 1000 * rows["seconds_per_step"]).all()
    assert drawn(tmp_path, figure_end_to_end, table)


def test_throughput(quick, default, tmp_path):
    table = throughput.benchmark(quick["throughput"], CPU, default)
    assert list(table) == list(throughput.COLUMNS)
    measured = table[table["status"] == MEASURED]
    assert (measured[["seconds_per_step", "slices_per_second", "lmi_share"]] > 0).all(axis=None)
    on_cpu = measured[measured["device"].str.contains("threads")]
    assert set(on_cpu["batch"]) == set(quick["throughput"]["batches"])
    if not torch.cuda.is_available():
        assert (table.loc[table["device"] == "cuda", "status"] == NO_GPU).all()
    assert table.loc[table["status"] != MEASURED, "seconds_per_step"].isna().all()
    assert drawn(tmp_path, figure_throughput, table)
    with pytest.raises(StudyError, match="nothing was measured"):
        figure_throughput(
            table[table["status"] != MEASURED], tmp_path / "x.png", tmp_path / "x.pdf"
        )


def test_the_paper_preset_is_the_authors_settings(paper):
    model = DiffusionModel(model_settings(paper, "lmidiffusion"), CPU)
    assert model.guidance == PAPER
    assert (model.diffusion.range, model.diffusion.clip) == ("unit", False)
    assert model.diffusion.parameterisation == "epsilon"
    assert model.training.rate(10**5) == model.training.rate(0) == pytest.approx(3e-4)
    sampling = sampling_settings(paper, "lmidiffusion")
    assert (sampling.steps, sampling.draws, sampling.sampler) == (1000, 1, "ancestral")
    assert sampling.options() == {"variance": "large", "final_noise": True}
    size = paper["data"]["grid"]["image_size"]
    assert size == 128
    attention = [size // 2**level for level, on in enumerate(model.unet.attention) if on]
    assert attention == [16]
    x = slices(1, 32, CPU)
    with timed_lmi(CPU) as seconds, torch.no_grad():
        x0 = model.denoiser(x)(x, 500)
    assert x0.shape == x.shape
    assert len(seconds) == 2  # the static self map, and the cross map of the step


def test_pareto(tmp_path):
    rows = [
        (name, "PDw", subject, metric, region, value + 0.01 * number)
        for name, value in (("few", 0.5), ("many", 0.7))
        for number, subject in enumerate(("sub-1", "sub-2", "sub-3"))
        for metric, region in (("ssim", "brain"), ("dice_kmeans", "gm"))
    ]
    columns = ["method", "source", "subject", "metric", "region", "value"]
    table = pareto_table(
        pd.DataFrame(rows, columns=columns).assign(seed=1),
        {
            "few": {"sampler": "ddim", "steps": 5, "draws": 2},
            "many": {"sampler": "ddim", "steps": 50, "draws": 1, "spacing": "log_snr"},
        },
        {"few": "few", "many": "many"},
        {("few", "PDw"): 3.0, ("many", "PDw"): 6.0},
        slices={"few": 30, "many": 30},
        seed=1,
    )
    assert list(table) == list(COLUMNS)
    assert table.groupby("method")["network_evaluations"].first().to_dict() == {
        "few": 10,
        "many": 50,
    }
    assert table.groupby("method")["spacing"].first().tolist() == ["trailing", "log_snr"]
    assert table["job_seconds_per_slice"].tolist() == [0.1, 0.1, 0.2, 0.2]
    assert table["mean"].tolist() == pytest.approx([0.51, 0.51, 0.71, 0.71])
    quantities = [(quantity.key, quantity.title) for quantity in SHOWN]
    assert drawn(tmp_path, figure_pareto, table, quantities)


def test_pairs_of_one_person_and_of_two_are_counted_apart():
    rows = [
        ("a", "a", 0.4, "", 0.9, 0.8, 0.2, 0.1),
        ("a", "a", 3.0, "turned", 0.7, 0.8, 0.2, 0.3),
        ("b", "b", 2.0, "", 0.9, 0.9, 0.2, 0.1),
        ("b", "b", 0.6, "", 0.9, 0.9, 0.2, 0.1),
        ("a", "b", np.nan, "two people", np.nan, np.nan, np.nan, np.nan),
        ("b", "a", np.nan, "", np.nan, np.nan, np.nan, np.nan),
    ]
    names = "head target_of error95_mm flags dice_source dice_target variation_raw variation_n4"
    one, two = summarise_subjects(pd.DataFrame(rows, columns=names.split())).to_dict("records")
    assert (one["pairs"], one["aligned"], one["flagged"], one["neither"]) == (4, 0.5, 0.25, 0.25)
    assert (one["error95_worst_mm"], one["dice_least"], one["variation_fell"]) == (3.0, 0.7, 0.75)
    assert (two["pairs"], two["flagged"]) == (2, 0.5)


@pytest.mark.study
def test_a_study_is_planned_beside_an_empty_workflow(tmp_path):
    project = copy_project(tmp_path / "project")
    found = plans(project, 1, SMOKE)
    assert list(found) == ["empty", "study"]
    for how, table in found.items():
        assert list(table) == list(OF_PLANS) == list(pd.read_csv(REFERENCE / OVERHEAD))
        row = table.iloc[0]
        assert (row["how"], len(table)) == (how, 1)
        assert (row[["wall_s", "driver_cpu_s", "driver_memory_mb"]] > 0).all()
    assert found["empty"]["jobs"].item() == 1
    assert found["study"]["jobs"].item() == len(jobs_of(run(project, "-n", *SMOKE)))
    (project / "Snakefile").write_text("rule all:\n    input: 'gone'\n")
    with pytest.raises(StudyError, match="gone"):
        plans(project, 1)


def test_processors(quick, default, tmp_path):
    table = processors.benchmark(quick["processors"], CPU, default)
    assert list(table) == list(processors.COLUMNS)
    assert list(dict.fromkeys(table["processor"])) == list(processors.PROCESSORS)
    assert (table.groupby("processor")["phase"].nunique() == 2).all()
    ran = table["status"] == MEASURED
    assert table.loc[~ran, "seconds_per_step"].isna().all()
    assert (table.loc[ran, "seconds_per_step"] > 0).all()
    told = table[ran & (table["processor"] != processors.THIS)]
    assert set(told["precision"]) <= {"float32"}
    # What torch says it ran with, in the process that was told.
    narrow = told[told["processor"] == "AVX2"]
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert list(narrow["instructions"]) == ["AVX2", "AVX2"]
    assert (table.loc[table["processor"] == processors.THIS, "times_this_processor"] == 1).all()
    assert drawn(tmp_path, figure_processors, table)


@pytest.mark.parametrize(
    ("own", "played"),
    [
        ("AVX512", ["AVX-512, no bfloat16", "AVX2"]),
        ("AVX2", ["AVX2"]),
        ("DEFAULT", []),
        ("NEON", []),
    ],
)
def test_no_process_is_told_to_use_what_the_processor_lacks(monkeypatch, own, played):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: own)
    told = {name: processors.playable(given) for name, given in processors.PROCESSORS.items()}
    assert [name for name, given in told.items() if given] == played


def test_a_processor_that_cannot_be_played_is_not_run(monkeypatch, quick, default, tmp_path):
    rows = [
        {"phase": phase, "model": "m", "batch": 8, "precision": "float32", "instructions": "AVX2"}
        for phase in ("training step", "sampling step")
    ]
    found = json.dumps([{**row, "seconds_per_step": 2.0} for row in rows])
    monkeypatch.setattr(processors, "run_alone", lambda *_, **__: found)
    table = processors.benchmark(quick["processors"], CPU, default)
    wide = table[table["processor"] == "AVX-512, no bfloat16"]
    assert set(wide["status"]) == {"not run: no avx512 here"}
    assert wide[["seconds_per_step", "times_this_processor"]].isna().all(axis=None)
    assert drawn(tmp_path, figure_processors, table)


@pytest.mark.variant
def test_the_rules_write_tables_figures_and_what_they_come_from(tmp_path):
    project = copy_project(tmp_path / "project")
    settings = project / "config" / "bench.yaml"
    settings.write_text(settings.read_text().replace("quick: false", "quick: true"))
    folder = project / "results" / "benchmarks"
    # Not `bench`: timing a whole network at every batch size is the function's test above.
    names = ("lmi", "end_to_end", "overhead/empty_1")
    run(project, *(f"results/benchmarks/{name}.csv" for name in names))
    assert {f.name for f in (folder / "overhead").iterdir()} == {"empty_1.csv", "study_1.csv"}
    for name in ("lmi", "end_to_end"):
        assert {f.suffix for f in folder.glob(f"{name}.*")} == {".csv", ".json", ".png", ".pdf"}
        assert len(pd.read_csv(folder / f"{name}.csv")) > 1
        came_from = json.loads((folder / f"{name}.json").read_text())
        assert came_from["files"]["settings"] == {"bench.yaml": sha256(settings)}
        script = project / "workflow" / "scripts" / "benchmark.py"
        behind = modules_behind(script, f"lmidiff.benchmarks.{name}")
        assert came_from["code_sha256"] == sha256_of(behind)
        assert came_from["versions"] == versions()


@pytest.mark.study
def test_the_making_of_the_mask_network_can_be_planned(tmp_path):
    heads = tmp_path / "heads"
    heads.mkdir()
    for number in range(6):
        (heads / f"{number}.nii.gz").touch()
    snakefile = ROOT / "extras" / "brain_mask" / "Snakefile"
    with open(ROOT / "config" / "real.tsv") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            for column in ("path", "labels"):
                scan = tmp_path / "scans" / row[column]
                scan.parent.mkdir(parents=True, exist_ok=True)
                scan.touch()
    scans = f"scans={tmp_path / 'scans'}"
    options = ("-n", "-s", str(snakefile), "--config", f"heads={heads}", scans)
    for name in ("model.json", "model.bin"):
        published = tmp_path / "scans" / "meshnet" / "mindgrab" / name
        published.parent.mkdir(parents=True, exist_ok=True)
        published.touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ixi_split.tsv").touch()
    printed = run(tmp_path, "compare", *options)
    assert {job.rule for job in jobs_of(printed)} == {
        "compare",
        "benchmark_masks",
        "benchmark_real_masks",
        "benchmark_masks_beside",
        "benchmark_real_alignment",
        "benchmark_alignment",
        "benchmark_alignment_cost",
    }
    weights = "results/benchmarks/brain_network/brain_network.safetensors"
    (trained,) = jobs_of(run(tmp_path, weights, *options))
    assert len([path for path in trained.inputs if path.endswith(".nii.gz")]) == 2  # but the last 4


# -- registration of real scans -------------------------------------------------------------------


def test_edges_agree_whatever_the_contrast_and_only_where_they_lie():
    draw = np.random.default_rng(0)
    image = ndimage.gaussian_filter(draw.normal(size=(24, 24, 24)), 2)
    brain = np.ones(image.shape, bool)
    assert edge_agreement(image, image, brain) == pytest.approx(1)
    assert edge_agreement(image, 3 - 2 * image, brain) == pytest.approx(
        1
    )  # sign and scale are not edges
    shifts = [edge_agreement(image, np.roll(image, by, 0), brain) for by in (0, 1, 2, 4)]
    assert shifts == sorted(shifts, reverse=True)
    assert abs(edge_agreement(image, draw.normal(size=image.shape), brain)) < 0.1
    outside = np.where(np.arange(24)[:, None, None] < 12, image, draw.normal(size=image.shape))
    half = np.zeros_like(brain)
    half[:12] = True
    assert edge_agreement(image, outside, half) > 0.95


def test_registrations_are_summed_up_by_kind():
    rows = [("as it came", "", np.nan), ("moved", "", 0.4), ("moved", "turned", 3.0)]
    table = pd.DataFrame(rows, columns=["kind", "flags", "error95_mm"])
    table[["edges_before", "masks_before", "masks_after"]] = 0.5
    table["edges_after"] = [0.7, 0.6, 0.8]
    summary = summarise_pairs(table).set_index("kind")
    assert list(summary.index) == ["as it came", "moved"]
    assert summary.loc["moved", "flagged"] == 0.5
    assert summary.loc["moved", "error95_worst_mm"] == 3.0
    assert summary.loc["moved", "edges_after"] == pytest.approx(0.7)
    assert np.isnan(summary.loc["as it came", "error95_worst_mm"])


def test_recorded_real_pairs_are_aligned_and_two_people_are_told_apart():
    path = ROOT / "results" / "reference" / "benchmarks" / "real_alignment_summary.csv"
    summary = pd.read_csv(path).set_index("kind")
    assert (summary["pairs"] == 15).all()
    assert summary.loc["moved", "error95_worst_mm"] < 2
    assert dict(summary["flagged"]) == {"as it came": 0, "moved": 0, "of two people": 1}
    assert (summary["edges_after"] > summary["edges_before"]).loc["moved"]
    assert summary.loc["of two people", "edges_after"] < summary.loc["as it came", "edges_after"]

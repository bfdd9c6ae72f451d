import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.costs import Cost
from lmidiff.evaluation.scores import METRIC_COLUMNS
from lmidiff.evaluation.statistics import bootstrap_interval
from lmidiff.evaluation.tables import (
    NOT_OBTAINED,
    QUANTITIES,
    MethodInfo,
    read_published,
    table1,
)
from lmidiff.report.summary import holes_text
from lmidiff.report.table_writers import best_rows, caption, tidy, write_table1

METHODS = [
    MethodInfo("oracle", "True T1w", "nothing", "nothing", False, ceiling=True),
    MethodInfo("plain", "Source <untouched> & raw_1 | 100%", "nothing", "nothing", True),
    MethodInfo("lmi", "LMIDiffusion", "target", "validation, target only", True),
    MethodInfo("gan", "CycleGAN", "target + source (unpaired)", "validation", False),
    MethodInfo("sup", "Supervised", "pairs", "validation", False),
]
LEVEL = {"oracle": 1.0, "plain": 0.5, "lmi": 0.7, "gan": 0.8, "sup": 0.9}
LAST = ["Training [s]", "Translation [s/slice]", "Subjects", "Paper's value"]
QUANTITY = {quantity.key: quantity for quantity in QUANTITIES}
ALWAYS = [quantity for quantity in QUANTITIES if not quantity.optional]


def scores(subjects: int = 4, truth: bool = True) -> pd.DataFrame:
    """Every method from PDw, all but ``gan`` from T2w; the level of a method is its score."""
    rows = []
    for source in ("PDw", "T2w"):
        for method, level in LEVEL.items():
            if (source, method) == ("T2w", "gan"):
                continue
            for number in range(subjects):
                value = level - 0.01 * number * (level < 1)
                psnr = math.inf if level == 1 else 20 * value
                found = [("brain", "psnr", psnr), ("brain", "mae", 1 - value)]
                found += [(region, "ssim", value) for region in ("image", "brain", "interior")]
                for tissue in ("csf", "gm", "wm"):
                    undefined = tissue == "csf" and number == 0
                    found.append((tissue, "dice_kmeans", math.nan if undefined else value))
                    if truth:
                        found.append((tissue, "dice_truth", value / 2))
                key = ("demo", method, source, "T1w", f"{number:03d}", 1)
                rows += [(*key, *row) for row in found]
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


@pytest.fixture
def written(tmp_path) -> dict[str, str]:
    return write(table1(scores(), METHODS), tmp_path)


def write(table: pd.DataFrame, folder: Path) -> dict[str, str]:
    paths = {kind: folder / f"table1.{kind}" for kind in ("csv", "md", "tex")}
    write_table1(table, **paths)
    return {kind: path.read_text() for kind, path in paths.items()}


def test_one_row_for_every_source_and_method():
    table = table1(scores(), METHODS)
    assert table[["source", "method"]].to_numpy().tolist() == [
        [source, method.key] for source in ("PDw", "T2w") for method in METHODS
    ]
    assert table[[f"{quantity.key}_paper" for quantity in ALWAYS]].isna().all(axis=None)


def test_numbers_are_means_over_subjects_with_their_bootstrap_interval():
    row = table1(scores(), METHODS, seed=3).iloc[2]
    values = 0.7 - 0.01 * np.arange(4)
    oracle = bootstrap_interval(values, seed=3)
    for end in ("mean", "low", "high", "n"):
        assert row[f"ssim_brain_{end}"] == pytest.approx(getattr(oracle, end))
    assert row["dice_truth_mean_mean"] == pytest.approx(values.mean() / 2)
    assert row["psnr_brain_mean"] == pytest.approx(20 * values.mean())


def test_undefined_dice_is_left_out():
    row = table1(scores(), METHODS).iloc[2]
    assert row["dice_kmeans_csf_n"] == 3
    assert row["dice_kmeans_csf_mean"] == pytest.approx(np.mean([0.69, 0.68, 0.67]))
    assert row["dice_kmeans_mean_n"] == 4, "the mean is over the tissues that are defined"


def test_clusters_of_whole_slices_have_their_mean_in_the_table(tmp_path):
    named = {"csf": "dark", "gm": "middle", "wm": "bright"}
    brain = scores(truth=False)
    whole = brain.assign(region=brain["region"].replace(named))
    tables = [table1(each, METHODS) for each in (brain, whole)]
    for end in ("mean", "low", "high", "n"):
        key = f"dice_kmeans_mean_{end}"
        pd.testing.assert_series_equal(tables[0][key], tables[1][key])
    assert tables[1]["dice_kmeans_csf_n"].sum() == 0
    said = "pooled over whole slices, against K-Means on the true target; mean is over the dark"
    texts = [write(table, tmp_path)["md"] for table in tables]
    assert [said in text for text in texts] == [False, True]
    assert "tissue labels (truth)" not in texts[1]


def test_a_hole_is_a_row_that_says_missing(written):
    table = table1(scores(), METHODS)
    assert table["status"].tolist().count("missing") == 1
    assert written["csv"].count("missing") == len(ALWAYS)
    assert written["md"].count("missing ") >= len(ALWAYS)
    holed = table1(scores(), METHODS, sources=["PDw", "T2w", "FLAIR"])
    assert (holed.loc[holed["source"] == "FLAIR", "status"] == "missing").all()


def test_best_is_among_zero_shot_rows_of_each_source():
    table = table1(scores(), METHODS)
    for quantity in ALWAYS:
        assert best_rows(table, quantity) == {2, 7}, quantity.key


def test_lower_error_is_better_and_ties_are_shared():
    table = table1(scores(), METHODS)
    table.loc[1, "mae_brain_mean"] = table.loc[2, "mae_brain_mean"] + 1e-6
    assert best_rows(table, QUANTITY["mae_brain"]) == {1, 2, 7}
    table.loc[1, "mae_brain_mean"] = 0.0
    assert best_rows(table, QUANTITY["mae_brain"]) == {1, 7}


def test_words_decide_nothing():
    """A ceiling under another key, and pairs of other modalities than the one translated."""
    truth = MethodInfo("truth", "True T1w", "the answer", "", False, ceiling=True)
    swapped = MethodInfo("swapped", "Supervised", "pairs of T1w and PDw", "", True)
    assert (truth.kind, swapped.kind) == ("ceiling", "zero-shot")
    values = scores()
    both = pd.concat(
        [
            values,
            *(values[values["method"] == "sup"].assign(method=m.key) for m in (truth, swapped)),
        ]
    )
    table = table1(both, [*METHODS, truth, swapped])
    rows = table.set_index(["source", "method"])
    assert not rows["saw_source"].xs("swapped", level=1).any()
    best = best_rows(table, QUANTITY["ssim_brain"])
    assert set(table.loc[sorted(best), "method"]) == {"swapped"}, "no ceiling, no row that saw it"


def test_a_note_marks_every_source(tmp_path):
    table = table1(scores(), METHODS)
    plain = write(table, tmp_path)
    paths = {kind: tmp_path / f"table1.{kind}" for kind in ("csv", "md", "tex")}
    write_table1(table, **paths, note="Simulated source, real target: `x`.")
    noted = {kind: path.read_text() for kind, path in paths.items()}
    assert noted["csv"] == plain["csv"], "numbers are the same"
    rows = [line for line in noted["md"].split("\n") if re.match(r"\| (PDw|T2w)", line)]
    assert len(rows) == len(table)
    assert all(re.match(r"\| (PDw|T2w)\xa0§ ", row) for row in rows)
    assert "§ Simulated source, real target: x. Translation to T1w" in noted["md"]
    assert noted["tex"].count(r"\S{}") == len(table) + 1
    assert "§" not in noted["tex"] + plain["md"]


def test_csv_is_tidy_numbers(written, tmp_path):
    frame = pd.read_csv(tmp_path / "table1.csv")
    assert len(frame) == 2 * len(METHODS) * len(ALWAYS)
    assert {"mean", "low", "high", "n", "unit", "quantity"} <= set(frame)
    for column in ("mean", "low", "high"):
        assert pd.api.types.is_float_dtype(frame[column])
    assert np.isinf(frame.loc[(frame.method == "oracle") & (frame.unit == "dB"), "mean"]).all()
    assert tidy(table1(scores(), METHODS))["n"].max() == 4
    again = write(table1(scores(), METHODS), tmp_path)
    assert again == written


def test_markdown_has_the_right_columns(written):
    lines = [line for line in written["md"].splitlines() if line.startswith("|")]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    head = [cell.strip() for cell in split[0]]
    assert head[:4] == ["Source", "Method", "Training saw", "Tuned on"]
    assert head[-4:] == LAST
    assert len(head) == 4 + len(ALWAYS) + 4
    assert {len(row) for row in split} == {len(head)}
    assert len(lines) == 2 + 2 * len(METHODS)
    row = [cell.strip() for cell in split[4]]
    assert row[1] == "LMIDiffusion"
    assert all(cell.startswith("**0.") for cell in row[4:6])
    assert "∞ [∞, ∞]" in lines[2]
    assert "**" not in lines[2] + lines[5] + lines[6]
    assert "‡" in lines[2]
    assert "†" in lines[5]


def test_markdown_renders_as_a_table(written):
    tokens = MarkdownIt("commonmark").enable("table").parse(written["md"])
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("tr_open") == 1 + 2 * len(METHODS)
    assert kinds.count("td_open") == 2 * len(METHODS) * (8 + len(ALWAYS))
    assert "Source <untouched> & raw_1 | 100%" in [
        "".join(child.content for child in token.children) for token in tokens if token.children
    ]


def test_latex_is_well_formed(written):
    text = written["tex"]
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", text))
    plain = re.sub(r"\\[{}\\]", "", text)
    assert plain.count("{") == plain.count("}")
    body = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {4 + len(ALWAYS) + 3}
    assert len(body) == 1 + 2 * len(METHODS)
    assert r"$<$untouched$>$ \& raw\_1 | 100\%" in text
    assert text.isascii()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(written, tmp_path):
    packages = re.search(r"\\usepackage\{.*\}", written["tex"])[0]
    lines = [r"\documentclass[a4paper]{article}", packages, r"\begin{document}"]
    lines += [r"\input{table1.tex}", r"\end{document}", ""]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_caption_says_how_it_was_measured():
    text = caption(table1(scores(), METHODS))
    for fact in ("n = 4", "11 x 11", "1.5 px", "data_range = 1", "brain mask", "2000", "95%"):
        assert fact in text


def test_one_subject_has_no_interval(tmp_path):
    texts = write(table1(scores(subjects=1), METHODS), tmp_path)
    assert "**0.700 (n=1)**" in texts["md"]
    assert "nan" not in texts["md"] + texts["tex"]


def test_no_tissue_truth_prints_a_dash(tmp_path):
    texts = write(table1(scores(truth=False), METHODS), tmp_path)
    rows = [line for line in texts["md"].splitlines() if line.startswith("| PDw")]
    assert all(line.split(" | ")[-5].strip() == "–" for line in rows)


HEAD = "method\tsource\tmetric\tregion\tvalue\tpage\n"


def test_published_numbers_are_shown_with_their_page_and_the_difference(tmp_path):
    path = tmp_path / "published.tsv"
    rows = "lmi\tPDw\tssim\timage\t0.5\t4\nlmi\tPDw\tdice_kmeans\tmean\t0.9\t5\n"
    path.write_text(HEAD + rows + "gan\tT2w\tssim\tbrain\t0.25\t6\n")
    table = table1(scores(), METHODS, read_published(path))
    texts = write(table, tmp_path)
    cells = [line.split(" | ")[-1].strip(" |") for line in texts["md"].splitlines()[2:12]]
    # The means of lmi are 0.685 in SSIM and, where CSF of one subject is undefined, in Dice.
    assert cells[2].startswith("SSIM, image: 0.5 (p. 4), here +0.185; Dice vs K-Means, mean: 0.9")
    assert cells[8] == "SSIM, brain: 0.25 (p. 6)", "no scores here, so no difference"
    assert [cell for n, cell in enumerate(cells) if n not in (2, 8)] == [NOT_OBTAINED] * 8
    csv = pd.read_csv(tmp_path / "table1.csv", dtype=str, keep_default_na=False)
    csv = csv.set_index(["source", "method", "quantity"])[["paper", "page", "difference"]]
    assert csv.loc["PDw", "lmi", "ssim_image"].tolist() == ["0.5", "4", "0.185000"]
    assert csv.loc["T2w", "gan", "ssim_brain"].tolist() == ["0.25", "6", ""]
    assert csv.loc["PDw", "lmi", "ssim_brain"].tolist() == [NOT_OBTAINED, "", ""]
    assert r"SSIM, image: 0.5 (p. 4), here +0.185" in texts["tex"]


def test_the_committed_list_of_published_numbers_is_valid():
    path = Path(__file__).parents[2] / "config" / "published.tsv"
    read_published(path)


# -- cost -----------------------------------------------------------------------------------------


def test_cost_stands_in_every_row_or_says_not_recorded(tmp_path):
    costs = {("lmi", "PDw"): Cost(1234.5, 0.0567), ("plain", "PDw"): Cost(0.0, 0.00123)}
    texts = write(table1(scores(), METHODS, costs=costs), tmp_path)
    rows = [line.split(" | ")[-4:-2] for line in texts["md"].splitlines()[2:12]]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert cells[2] == ["1234", "0.0567"]
    assert cells[1] == ["0", "0.00123"]
    assert cells[0] == ["not recorded"] * 2
    csv = pd.read_csv(tmp_path / "table1.csv").set_index(["source", "method", "quantity"])
    csv = csv.sort_index()
    assert csv.loc[("PDw", "lmi", "ssim_brain"), "training_seconds"] == 1234.5
    assert csv.loc[("PDw", "gan"), "translation_seconds"].isna().all()


# -- holes ----------------------------------------------------------------------------------------


def test_holes_are_marked_in_the_table_and_named_in_a_line(tmp_path):
    everyone = [f"{number:03d}" for number in range(5)]
    table = table1(scores(), METHODS, subjects=everyone)
    lines = holes_text(tidy(table))
    assert "CycleGAN from T2w: no scores" in lines
    assert "LMIDiffusion from PDw: ssim_brain of 4 of 5 subjects" in lines
    assert "LMIDiffusion from PDw: dice_kmeans_csf of 3 of 5 subjects" in lines
    assert all("\n" not in line for line in lines)
    texts = write(table, tmp_path)
    row = texts["md"].splitlines()[4]
    assert "| 4 of 5 " in row
    assert "0.680 [0.670, 0.690] (n=3)" in row


def test_a_nan_metric_shrinks_n_and_is_named():
    frame = scores()
    gone = (frame["method"] == "lmi") & (frame["subject"] == "002") & (frame["metric"] == "psnr")
    frame.loc[gone & (frame["source"] == "PDw"), "value"] = math.nan
    table = table1(frame, METHODS)
    assert table.loc[2, "psnr_brain_n"] == 3
    assert "LMIDiffusion from PDw: psnr_brain of 3 of 4 subjects" in holes_text(tidy(table))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("lmi\tPDw\tssim\timage\t0.5\t\n", "line 2 lacks"),
        ("lmi\tPDw\tssim\timage\thigh\t4\n", "no number"),
        ("lmi\tPDw\tssim\timage\t0.5\t4\n" * 2, "twice"),
        ("lmi\tPDw\tssim\tmean\t0.5\t4\n", "line 2: the table has no ssim of mean; it has ssim of"),
    ],
)
def test_published_numbers_that_cannot_be_checked(tmp_path, rows, message):
    path = tmp_path / "published.tsv"
    path.write_text("method\tsource\tmetric\tregion\tvalue\tpage\n" + rows)
    with pytest.raises(StudyError, match=rf"published\.tsv: .*{message}"):
        read_published(path)
    path.write_text("method\tvalue\n")
    with pytest.raises(StudyError, match="columns"):
        read_published(path)


def test_frames_that_make_no_table():
    frame = scores()
    with pytest.raises(StudyError, match="repeated"):
        table1(frame, METHODS + METHODS[:1])
    with pytest.raises(StudyError, match="volume-level"):
        table1(frame.assign(slice=1), METHODS)
    with pytest.raises(StudyError, match="several study"):
        table1(pd.concat([frame, frame.assign(study="b")]), METHODS)
    with pytest.raises(StudyError, match="no configured method"):
        table1(frame, METHODS[:2])


def test_a_network_has_columns_where_it_was_asked_and_nowhere_else(tmp_path):
    plain = scores()
    asked = plain[plain["metric"] == "dice_kmeans"].assign(metric="dice_net")
    asked = asked[asked["region"] != "csf"]
    tables = [table1(frame, METHODS) for frame in (plain, pd.concat([plain, asked]))]
    added = {"dice_net_gm", "dice_net_wm", "dice_net_mean"}
    kept, more = (tidy(table) for table in tables)
    assert set(more["quantity"]) - set(kept["quantity"]) == added
    pd.testing.assert_frame_equal(
        more[~more["quantity"].isin(added)].reset_index(drop=True), kept, check_dtype=False
    )
    row = more[(more["quantity"] == "dice_net_mean") & (more["method"] == "oracle")].iloc[0]
    assert float(row["mean"]) == 1
    assert ("network" in caption(tables[0]), "network" in caption(tables[1])) == (False, True)
    for table in tables:
        write_table1(table, *(tmp_path / f"table.{kind}" for kind in ("csv", "md", "tex")))
        assert ("network" in (tmp_path / "table.md").read_text()) == (table is tables[1])

"""A recorded run drawn again in a fresh copy, and its report in a real browser, end to end."""

import csv
import lzma
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from browser import chromium
from lmidiff.records.checkpoints import keep_weights
from lmidiff.records.crate import add_crate
from lmidiff.records.recorded import record
from lmidiff.records.replay import DERIVED
from lmidiff.report.sortable import table1_frame, verdicts_frame, write_sortable
from workflows import SMOKE, command, copy_project, environment, planned, run

pytestmark = pytest.mark.study
REPORT = "results/recorded/smoke/report.html"
RECORDED = ("--config", "recorded=results/reference/smoke")


def offline() -> list[str]:
    """The beginning of a command that has no network, where the system lets one do so."""
    alone = ["unshare", "--net", "--map-root-user"]
    works = shutil.which("unshare") and not subprocess.run([*alone, "true"], check=False).returncode
    return alone if works else []


@pytest.fixture(scope="module")
def recorded(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy of the project that holds nothing but the record of the smoke study."""
    clone = copy_project(tmp_path_factory.mktemp("clone") / "a project")
    here = Path.cwd()
    os.chdir(finished)
    try:
        record(Path("results/smoke"), clone / "results" / "reference", keep_weights, add_crate)
    finally:
        os.chdir(here)
    return clone


@pytest.fixture(scope="module")
def drawn(recorded: Path) -> Path:
    """The same after ``make figures``, without a network."""
    look = ("--report-stylesheet", "workflow/report/style.css")
    arguments = command(*RECORDED, "--report", REPORT, "--report-after-run", *look)
    done = subprocess.run(
        [*offline(), *arguments],
        cwd=recorded,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    assert not re.search(r"rule (simulate|preprocess|train|translate|segment|score)\b", done.stderr)
    return recorded


def test_a_recorded_run_comes_out_byte_for_byte(drawn: Path, finished: Path) -> None:
    before, after = (drawn / "results" / kind / "smoke" for kind in ("reference", "recorded"))
    tables = sorted(path for path in before.rglob("*") if path.suffix in (".csv", ".tsv", ".md"))
    anew = [p for p in tables if any(p.relative_to(before).match(name) for name in DERIVED)]
    assert {p.name for p in anew} >= {"table1.csv", "table1.md", "verdicts.csv", "gap.csv"}
    packed = lzma.decompress((before / "table1.tex.xz").read_bytes())
    assert (after / "table1.tex").read_bytes() == packed
    for path in tables:
        again = after / path.relative_to(before)
        assert again.read_bytes() == path.read_bytes(), path.name
    first = finished / "results" / "smoke" / "figures"
    drawn_twice = [path for path in first.iterdir() if (after / "figures" / path.name).is_file()]
    assert len(drawn_twice) > 20
    for path in drawn_twice:
        assert (after / "figures" / path.name).read_bytes() == path.read_bytes(), path.name


def test_every_figure_has_its_numbers_beside_it(drawn: Path) -> None:
    folder = drawn / "results" / "recorded" / "smoke" / "figures"
    names = {path.stem for path in folder.glob("*.png")}
    assert names >= {"figure1", "figure2", "flow", "failures", "uncertainty", "through_plane"}
    for name in names - {"previews"}:
        assert len(pd.read_csv(folder / f"{name}.csv")) > 0, name
        if name == "samples":
            continue  # drawn from weights, which a record need not keep: its picture is copied
        pdf = (folder / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF"), name
        assert b"/Type3" not in pdf, f"{name}: fonts are embedded as TrueType"


def test_an_edited_record_is_not_drawn(recorded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "edited"
    shutil.copytree(recorded / "results" / "reference" / "smoke", copy)
    (copy / "gap.csv").write_text((copy / "gap.csv").read_text() + "better\n")
    printed = run(
        recorded, "--config", f"recorded={copy}", "--until", "restore", "--forceall", ok=False
    )
    assert "gap.csv: differs from what was recorded; never edit it by hand" in printed
    assert "Traceback" not in printed
    printed = run(recorded, "--config", "recorded=results/reference/nothing", "-n", ok=False)
    assert "nothing/record/config.yaml: no such recorded run" in printed
    assert "Traceback" not in printed


# -- the report -----------------------------------------------------------------------------------


def test_the_report_in_a_browser(drawn: Path) -> None:
    path = drawn / REPORT
    with chromium() as browser:
        browser.open(path)
        categories = browser.texts("//li//span")
        wanted = ["2 Table", "3 Figures", "4 Data quality", "5 Cost", "6 Provenance"]
        assert [name for name in categories if name[0].isdigit() and name in wanted] == wanted

        check_front(browser)
        browser.click("//span[text()='3 Figures']")
        browser.click("//td[starts-with(., 'Figure 2:')]/..//a")
        image = browser.find("//img[starts-with(@src, 'data:image/png')]")
        assert browser.script("return arguments[0].naturalWidth", image) == int(180 / 25.4 * 300)
        top = browser.script("return arguments[0].getBoundingClientRect().top", image)
        assert top >= 0, "a tall figure can be seen from its top"

        browser.click("//a[text()='Results']")
        browser.click("//span[text()='2 Table']")
        browser.click("//td[text()='Table 1, sortable']/..//a")
        browser.driver.switch_to.frame(browser.find("//iframe"))
        check_sorting(browser, "SSIM, brain")
        browser.driver.switch_to.default_content()
        if "1 Verdicts" in categories:
            browser.click("//a[text()='Results']")
            browser.click("//span[text()='1 Verdicts']")
            browser.click("//td[text()='Verdicts, sortable']/..//a")
            browser.driver.switch_to.frame(browser.find("//iframe"))
            assert browser.find("//table//td")
        errors, abroad = browser.overheard()
        assert errors == []
        assert abroad == []
        assert len(browser.requests) > 2, "the log of requests works"


def check_front(browser) -> None:
    """The first page: verdicts, a picture, the best rows, stages; no graph of forty rules."""
    assert browser.texts("//p[@class='counts']")[0].startswith("Claims: ")
    assert len(browser.texts("//div[@class='front']//tbody/tr")) == 2 * 6  # sources, rows
    picture = browser.find("//div[@class='front']//img")
    assert browser.script("return arguments[0].naturalWidth", picture) == int(180 / 25.4 * 300)
    stages = browser.texts("//div[@class='way']/div")
    assert [text.split("\n")[0] for text in stages][:2] == ["data", "train"]
    graph = browser.script("return document.getElementById('rulegraph')")
    assert graph is None or browser.script("return arguments[0].offsetHeight", graph) == 0


def test_the_volumes_in_a_browser(drawn: Path) -> None:
    """Drawn from the record alone: source, truth, six rows, tissues, spread and labels."""
    page = drawn / "results" / "recorded" / "smoke" / "report" / "viewer.html"
    with chromium(webgl=True) as browser:
        browser.open(page)
        assert browser.find("//body[@data-drawn='11']")
        titles = browser.texts("//figcaption/strong")
        assert titles[:2] == ["PDw, the source", "true T1w"]
        errors, abroad = browser.overheard()
        assert (errors, abroad) == ([], [])


def check_sorting(browser, column: str) -> None:
    """Click a column's title twice; its numbers rise, then fall."""
    place = browser.texts("//thead//button").index(column) + 1
    cells = f"//tbody//td[{place}]"

    def numbers() -> list[float]:
        return [float(text.split(" ")[0]) for text in browser.texts(cells)]

    before = numbers()
    browser.click(f"(//thead//button)[{place}]")
    assert numbers() == sorted(before) != before
    browser.click(f"(//thead//button)[{place}]")
    assert numbers() == sorted(before, reverse=True)


class Cells(HTMLParser):
    """The cells of a page's table, and every address the page mentions in an attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.keys: list[str | None] = []
        self.addresses: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        attributes = dict(attributes)
        self.addresses += [attributes[key] for key in ("src", "href") if key in attributes]
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.inside = True
            self.rows[-1].append("")
            self.keys.append(attributes.get("data-key"))

    def handle_endtag(self, tag) -> None:
        self.inside = self.inside and tag != "td"

    def handle_data(self, data) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def test_a_sortable_page_escapes_and_knows_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "text": ["<script>alert(1)</script>", "b & c", "10 apples"],
            "number": ["0.5 [0.4, 0.6]", "∞", ""],
            "plain": [3, -1, 2],
        }
    )
    write_sortable(frame, tmp_path / "t.html", title="a < b", note="Said & done.")
    text = (tmp_path / "t.html").read_text()
    page = Cells(text)
    assert page.rows[1:] == frame.astype(str).to_numpy().tolist()
    expected = [None, "0.5", "3", None, "Infinity", "-1", None, None, "2"]
    assert page.keys == expected
    assert page.addresses == []
    assert text.count("<script>") == 1
    assert "a &lt; b" in text


def test_columns_with_sentences_are_kept_wide(tmp_path: Path) -> None:
    frame = pd.DataFrame({"short": ["one"], "sentence": ["A claim of more than a few words"]})
    write_sortable(frame, tmp_path / "t.html", title="t", note="n")
    cells = re.findall("<td[^>]*>", (tmp_path / "t.html").read_text())
    assert ['class="long"' in cell for cell in cells] == [False, True]


def test_verdicts_in_words(drawn: Path) -> None:
    path = drawn / "results" / "recorded" / "smoke" / "verdicts.csv"
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    frame = verdicts_frame(pd.read_csv(path, dtype=str, keep_default_na=False))
    assert frame["claim"].tolist() == [row["sentence"] for row in rows]
    assert frame["verdict"].tolist() == [row["verdict"] for row in rows]
    for row, shown in zip(rows, frame["difference"], strict=True):
        assert bool(shown) == bool(row["effect"])
        assert not shown or shown.startswith(f"{float(row['effect']):.3f}")


def test_table_one_by_source_and_method(drawn: Path) -> None:
    path = drawn / "results" / "recorded" / "smoke" / "table1.csv"
    with open(path, newline="") as stream:
        first = next(row for row in csv.DictReader(stream) if row["quantity"] == "ssim_brain")
    frame = table1_frame(pd.read_csv(path, dtype=str, keep_default_na=False))
    assert len(frame) == frame.iloc[:, :2].drop_duplicates().shape[0] > 10
    shown = frame.loc[0, "SSIM, brain"]
    assert shown.startswith(f"{float(first['mean']):.3f} [{float(first['low']):.3f}, ")


# -- trained models -------------------------------------------------------------------------------


def test_recorded_weights_translate_without_training(finished: Path, recorded: Path) -> None:
    results = recorded / "results" / "checkpoints" / "smoke"
    shutil.copytree(finished / "results/smoke/volumes", results / "volumes")
    arguments = ("--configfile", "results/reference/smoke/record/config.yaml")
    arguments += ("--config", "checkpoints=results/reference/smoke")
    goal = "translations/lmidiffusion/from-PDw/shard-0"
    only = ("--allowed-rules", "take_model", "translate", "--rerun-triggers", "mtime")
    jobs = {job.rule for job in planned(recorded, *arguments)}
    assert "train_model" not in jobs
    assert {"take_model", "translate", "score", "write_table"} <= jobs
    run(recorded, str((results / goal).relative_to(recorded)), *arguments, *only)
    for path in sorted((results / goal).glob("sub-0?_T1w.nii.gz")):
        before = finished / "results" / "smoke" / goal / path.name
        difference = np.abs(nib.load(path).get_fdata() - nib.load(before).get_fdata())
        assert 0 < difference.max() < 0.02, "half precision is close, not the same"


def test_missing_weights_are_named_before_any_job(recorded: Path, tmp_path: Path) -> None:
    arguments = ("--configfile", "results/reference/smoke/record/config.yaml")
    printed = run(recorded, *arguments, "--config", f"checkpoints={tmp_path}", "-n", ok=False)
    assert "holds no models/<model>/weights.safetensors of any row" in printed
    assert "Traceback" not in printed


# -- what reruns when something changes -----------------------------------------------------------


def test_a_change_reruns_what_depends_on_it_alone(finished: Path) -> None:
    module = finished / "workflow" / "lmidiff" / "figures" / "training_cost.py"
    text, stat = module.read_text(), module.stat()
    assert "alpha=0.25" in text
    module.write_text(text.replace("alpha=0.25", "alpha=0.2"))
    try:
        jobs = {job.rule for job in planned(finished, *SMOKE)}
        assert jobs == {"plot_training_cost", "all"}
    finally:
        module.write_text(text)
        os.utime(module, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (finished / "README.md").write_text("Edited.\n")
    assert planned(finished, *SMOKE) == []
    overlay = {"model_defaults": {"guidance": {"bandwidths": [9.0]}}}
    (finished / "bandwidth.yaml").write_text(yaml.safe_dump(overlay))
    jobs = {job.rule for job in planned(finished, *SMOKE, "bandwidth.yaml")}
    after = {"train_model", "tune_method", "translate", "segment", "score", "write_table"}
    assert after <= jobs
    assert (
        not {"simulate_simulated", "preprocess_simulated", "train_segmenter", "check_data"} & jobs
    )

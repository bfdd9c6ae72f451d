"""No figure in README or docs is typed: blocks are filled from records, the rest has no results."""

import csv
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from lmidiff.common.errors import StudyError
from lmidiff.report.prose import fill, filled, pages, without_blocks

ROOT = Path(__file__).parents[1]
ALLOWED = ROOT / "tests" / "data" / "typed_numbers.tsv"

NUMBER = r"[-+−]?\d+(?:[.,]\d+)?"
COUNTED = rf"(?:{NUMBER}|\b(?:an?|one|two|three|four|five|six|ten|half a)\b)"
UNITS = (
    r"(?:seconds?|minutes?|min|hours?|h|days?|ms|µs|s)\b(?!\w)",
    r"(?:[kMG]i?B|dB)\b",
    r"(?:times|fold|x|×)\b(?! \d)",
    r"(?:%|per ?cent\b)",
)
SCORES = r"(?:dice|ssim|psnr|mae|correlation|accuracy|error)"
RESULTS = [
    *(re.compile(rf"{COUNTED}[ -]?{unit}", re.IGNORECASE) for unit in UNITS),
    # A score's name and a decimal number close together, in either order.
    re.compile(rf"\b{SCORES}\b[^.|\n]{{0,40}}?[-+−]?\d+[.,]\d+", re.IGNORECASE),
    re.compile(rf"\d+[.,]\d+[^.|\n]{{0,25}}?\b{SCORES}\b", re.IGNORECASE),
]


def typed_results(text: str) -> list[tuple[int, str, str]]:
    """Line, what looks like a result, and its line's text, outside generated blocks."""
    found = []
    for number, line in enumerate(without_blocks(text).splitlines(), start=1):
        for pattern in RESULTS:
            found += [(number, match[0].strip(), line) for match in pattern.finditer(line)]
    return found


def allowed() -> list[dict[str, str]]:
    with open(ALLOWED, newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


# -- the project's pages --------------------------------------------------------------------------


def test_pages_say_what_the_records_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert Path("README.md") in pages(Path())
    assert Path("docs/verdicts.md") in pages(Path())
    for page in pages(Path()):
        text = page.read_text()
        assert filled(text, Path("results/reference"), str(page)) == text, "run `make record`"


def test_no_result_is_typed():
    permitted = allowed()
    for page in pages(ROOT):
        name = str(page.relative_to(ROOT))
        for number, found, line in typed_results(page.read_text()):
            fits = [a for a in permitted if a["file"] in (name, "*") and a["text"] in line]
            assert any(found in a["text"] or a["text"] in found for a in fits), (
                f"{name}, line {number}: {found!r} looks like a result; fill it from a recorded "
                "file (lmidiff.report.prose), or, if it is a setting, say so in typed_numbers.tsv"
            )


def test_the_allow_list_is_short_has_reasons_and_nothing_stale():
    entries = allowed()
    assert len(entries) <= 25
    texts = {str(p.relative_to(ROOT)): without_blocks(p.read_text()) for p in pages(ROOT)}
    for entry in entries:
        assert len(entry["reason"]) > 10, entry
        where = texts.values() if entry["file"] == "*" else [texts[entry["file"]]]
        assert any(entry["text"] in text for text in where), f"no longer needed: {entry}"


def test_readme_has_its_verdicts_on_the_first_screen():
    lines = (ROOT / "README.md").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("<!-- verdicts:default"))
    assert first < 25


def test_generated_tables_render_as_tables():
    parse = MarkdownIt("commonmark").enable("table").parse
    for path in [ROOT / "README.md", *ROOT.glob("results/reference/*/*.md")]:
        text = path.read_text()
        tokens = [token.type for token in parse(text)]
        separators = re.findall(r"^\|[:|-]+\|$", text, re.MULTILINE)
        assert tokens.count("table_open") == len(separators) > 0, path
        # No cell has spilled: a row that is not of its table would be a paragraph with a bar.
        inline = [t.content for t in parse(text) if t.type == "inline"]
        assert not [content for content in inline if content.startswith("|")], path


# -- what the check catches -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "It reaches 20.4 dB on the test subjects.",
        "Dice rises to 0.81.",
        "The mean SSIM of ours is 0.87, above the rest.",
        "0.79 mean Dice",
        "Training takes 9 minutes.",
        "a translation takes 0.35 s",
        "about a minute on two cores",
        "LMI is 450 x faster",
        "it closes 83 % of the gap",
        "needs 700 MB",
        "| ours | 3.2 s |",
    ],
)
def test_a_typed_result_is_found(line):
    assert typed_results(f"words\n\n{line}\n")
    assert typed_results(f"<!-- numbers:a.csv -->\n{line}\n<!-- /numbers -->\n") == []
    after = typed_results(f"<!-- numbers:a.csv -->\n\n<!-- /numbers -->\n{line}\n")
    assert {number for number, _, _ in after} == {4}


@pytest.mark.parametrize(
    "line",
    [
        "slices of 64 px, 3.0 mm, seed 1, Python 3.11",
        "`snr: 120`, bandwidths 4, 12 and 32, 1000 steps",
        "arXiv 2404.01102, version 9.27.1",
        "the Dice of a tissue that is absent is undefined",
        "0..1 by a percentile of the brain",
    ],
)
def test_a_setting_is_not(line):
    assert typed_results(line) == []


# -- blocks ---------------------------------------------------------------------------------------


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "reference" / "tiny"
    folder.mkdir(parents=True)
    (folder / "cost.csv").write_text(
        "stage,job,seconds,jobs\ntrain,all,1553.2,4\ntrain,a,1000.25,1\ntune,all,197.1,2\n"
    )
    return folder.parent


def test_a_number_in_a_sentence_is_read_from_its_file(reference):
    mark = (
        "<!-- number:tiny/cost.csv column=seconds where=stage:train,job:all divide=60 digits=1 -->"
    )
    text = f"Training took {mark}??<!-- /number --> minutes, tuning less.\n"
    found = filled(text, reference)
    assert found == text.replace("??", "25.9")
    assert filled(found, reference) == found
    assert typed_results(found) == []


def test_a_table_is_read_from_its_file(reference):
    text = (
        "<!-- numbers:tiny/cost.csv columns=job,seconds,jobs where=stage:train digits=1 -->\nold\n"
        "<!-- /numbers -->\n"
    )
    found = filled(text, reference)
    rows = [re.split(r" *\| *", line.strip("| ")) for line in found.splitlines() if "|" in line]
    assert rows[0] == ["job", "seconds", "jobs"]
    assert rows[2:] == [["all", "1553.2", "4"], ["a", "1000.2", "1"]]
    assert "old" not in found
    assert filled(found, reference) == found


def test_what_is_not_recorded_prints_not_run(reference):
    number = "<!-- number:gone/cost.csv column=seconds -->3<!-- /number -->"
    assert ">not run<" in filled(number, reference)
    table = "<!-- numbers:gone/cost.csv -->\n3\n<!-- /numbers -->\n"
    assert filled(table, reference).splitlines()[1] == "Not run."
    for kind in ("results", "verdicts"):
        block = f"<!-- {kind}:gone -->\n3\n<!-- /{kind} -->\n"
        assert filled(block, reference).splitlines()[1].startswith("No run of this study")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("number:tiny/cost.csv column=secs -->1<!-- /number -->", "has no column secs"),
        ("number:tiny/cost.csv column=jobs -->1<!-- /number -->", "names 3 rows"),
        ("number:tiny/cost.csv column=jobs where=stage:fly -->1<!-- /number -->", "names 0 rows"),
        ("numbers:tiny/cost.csv rows=3 -->\n<!-- /numbers -->", "unknown option rows"),
        ("numbers:tiny/cost.csv -->\n", "not closed"),
        ("numbers:tiny/cost.csv -->\n<!-- /number -->", "not closed"),
        ("results:tiny extra -->\n<!-- /results -->", "unknown form"),
    ],
)
def test_a_block_that_asks_for_what_is_not_there(reference, block, message):
    with pytest.raises(StudyError, match=message) as caught:
        filled(f"a\n<!-- {block}\nz", reference, "docs/x.md")
    assert str(caught.value).startswith("docs/x.md: ")
    assert "\n" not in str(caught.value)


def test_every_page_is_filled(reference, tmp_path):
    mark = "<!-- number:tiny/cost.csv column=seconds where=job:a -->{}<!-- /number -->\n"
    names = ("README.md", "config/README.md", "docs/a.md", "CONTRIBUTING.md")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(mark.format("?"))
    fill(tmp_path, reference)
    assert {(tmp_path / name).read_text() for name in names} == {mark.format("1000.25")}

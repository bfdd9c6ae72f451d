"""No figure in README or docs is typed: templates take them from records."""

import csv
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from lmidiff.common.errors import StudyError
from lmidiff.report.prose import TEMPLATES, Recorded, rendered, write_pages

ROOT = Path(__file__).parents[2]
ALLOWED = ROOT / "tests" / "golden" / "typed_numbers.tsv"

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


def typed_pages() -> list[Path]:
    """What somebody typed: the templates, and the pages that are not made from one."""
    made = {
        ROOT / template.relative_to(ROOT / TEMPLATES).with_suffix("")
        for template in (ROOT / TEMPLATES).rglob("*.j2")
    }
    typed = [ROOT / "CONTRIBUTING.md", ROOT / "config" / "README.md", *ROOT.glob("docs/*.md")]
    return sorted({*typed, *(ROOT / TEMPLATES).rglob("*.j2")} - made)


def typed_results(text: str) -> list[tuple[int, str, str]]:
    """Line, what looks like a result, and its line's text, outside of what a template asks for."""
    found = []
    plain = re.sub(r"\{[{%].*?[}%]\}", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(plain.splitlines(), start=1):
        for pattern in RESULTS:
            found += [(number, match[0].strip(), line) for match in pattern.finditer(line)]
    return found


def allowed() -> list[dict[str, str]]:
    with open(ALLOWED, newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


# -- the project's pages --------------------------------------------------------------------------


def test_pages_say_what_the_records_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    pages = rendered(Path(), Path("results/reference"))
    assert {Path("README.md"), Path("docs/data.md"), Path("docs/results/default.md")} <= set(pages)
    for page, text in pages.items():
        assert page.read_text() == text, f"{page}: run `.venv/bin/lmidiff readme`"


def test_no_result_is_typed():
    permitted = allowed()
    for page in typed_pages():
        name = str(page.relative_to(ROOT))
        for number, found, line in typed_results(page.read_text()):
            fits = [a for a in permitted if a["file"] in (name, "*") and a["text"] in line]
            assert any(found in a["text"] or a["text"] in found for a in fits), (
                f"{name}, line {number}: {found!r} looks like a result; take it from a recorded "
                "file in a template (lmidiff.report.prose), or, if it is a setting, say so in "
                "typed_numbers.tsv"
            )


def test_the_allow_list_is_short_has_reasons_and_nothing_stale():
    entries = allowed()
    assert len(entries) <= 30
    texts = {str(p.relative_to(ROOT)): p.read_text() for p in typed_pages()}
    for entry in entries:
        assert len(entry["reason"]) > 10, entry
        where = texts.values() if entry["file"] == "*" else [texts[entry["file"]]]
        assert any(entry["text"] in text for text in where), f"no longer needed: {entry}"


def test_readme_is_one_page_without_markers():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 10_000
    assert "<!--" not in text
    assert "{{" not in text
    first = "\n".join(text.splitlines()[:25])
    assert "## The answer" in first


LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links(page: Path) -> set[Path]:
    """The files that a page links."""
    targets = {m[1] for m in LINK.finditer(page.read_text())}
    return {(page.parent / t).resolve() for t in targets if not t.startswith(("http", "mailto:"))}


def test_no_link_is_dead():
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "config/README.md",
        *ROOT.glob("docs/**/*.md"),
    ]:
        for target in links(page):
            assert target.exists(), f"{page.relative_to(ROOT)} links {target}"


#: A first-time reader's questions, and words of the page that answers them.
QUESTIONS = {
    "What did you find?": "## Verdicts",
    "Against what, and by how much?": "## What of it is due to LMI?",
    "Can I use it on my scan, how good is it?": "## What is done to a scan",
    "How do I put my method in?": "Add a method",
    "How do I run it on my cluster?": "Slurm",
    "What did the paper's authors do differently?": "## What the authors did differently",
    "On what data?": "## Your own data",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_first_readers_question_is_answered_within_two_clicks(question):
    near = {ROOT / "README.md"}
    for _ in range(2):
        near |= {
            link for page in near if page.suffix == ".md" for link in links(page) if link.is_file()
        }
    texts = [page.read_text() for page in near if page.suffix == ".md"]
    assert any(QUESTIONS[question] in text for text in texts)


def test_generated_tables_render_as_tables():
    parse = MarkdownIt("commonmark").enable("table").parse
    for path in [*ROOT.glob("docs/results/*.md"), *ROOT.glob("results/reference/*/*.md")]:
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
    assert typed_results('It takes {{ number("a.csv", "seconds") }} minutes.') == []
    after = typed_results(f'{{{{ number("a.csv",\n"x") }}}}\n{line}\n')
    assert {number for number, _, _ in after} == {3}


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


# -- templates ------------------------------------------------------------------------------------


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "reference" / "tiny"
    folder.mkdir(parents=True)
    (folder / "cost.csv").write_text(
        "stage,job,seconds,jobs\ntrain,all,1553.2,4\ntrain,a,1000.25,1\ntune,all,197.1,2\n"
    )
    return folder.parent


def test_a_number_is_read_from_its_file(reference):
    said = Recorded(reference)
    found = said.number("tiny/cost.csv", "seconds", 1, 60, stage="train", job="all")
    assert found == "25.9"
    assert said.number("tiny/cost.csv", "jobs", stage="tune") == "2"


def test_a_table_is_read_from_its_file(reference):
    text = Recorded(reference).csv("tiny/cost.csv", "job,seconds,jobs", 1, stage="train")
    rows = [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines()]
    assert rows[0] == ["job", "seconds", "jobs"]
    assert rows[2:] == [["all", "1553.2", "4"], ["a", "1000.2", "1"]]


def test_a_comparison_a_setting_and_a_split_are_read_from_their_files(reference):
    tiny = reference / "tiny"
    (tiny / "record").mkdir()
    (tiny / "record" / "config.yaml").write_text("sampling: {steps: 4}\n")
    (tiny / "split.tsv").write_text("subject\tsplit\nsub-1\ttrain\nsub-2\ttest\nsub-3\ttrain\n")
    (tiny / "verdict_parts.csv").write_text(
        "claim,source,quantity,against,effect,low,high\n"
        "a,PDw,ssim_brain,edges,0.1234,0.1,0.15\na,T2w,ssim_brain,edges,-0.2,,\n"
    )
    said = Recorded(reference)
    assert said.part("tiny", "a", "PDw", "ssim_brain", "edges") == "+0.123 [+0.100, +0.150]"
    assert said.part("tiny", "a", "T2w", "ssim_brain", "edges") == "-0.200"
    assert said.setting("tiny", "sampling.steps") == "4"
    assert said.people("tiny", "train") == "2"
    (tiny / "record" / "cost.csv").write_text(
        "stage,job,cpu_seconds\ntrain,all,7200\ntrain,a,7200\ntune,all,720\n"
    )
    assert said.hours("tiny") == "2.2"
    with pytest.raises(StudyError, match="0 rows of a against sdedit from PDw, ssim_brain"):
        said.part("tiny", "a", "PDw", "ssim_brain", "sdedit")
    with pytest.raises(StudyError, match=r"has no key sampling\.draws"):
        said.setting("tiny", "sampling.draws")


def test_what_is_not_recorded_is_said_to_be_not_run(reference):
    said = Recorded(reference)
    assert said.number("gone/cost.csv", "seconds") == "not run"
    assert said.csv("gone/cost.csv") == "Not run.\n"
    assert said.counts("gone") == said.verdict("gone", "x") == said.difference("gone", "x")
    assert said.counts("gone") == "not run"
    assert said.rows("gone", ["a"]) == "Not run.\n"
    assert said.part("gone", "a", "PDw", "ssim_brain", "b") == "not run"
    assert said.setting("gone", "sampling.steps") == said.people("gone", "train") == "not run"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ('number("tiny/cost.csv", "secs")', "has no column secs"),
        ('number("tiny/cost.csv", "jobs")', "3 rows"),
        ('number("tiny/cost.csv", "jobs", stage="fly")', "0 rows"),
        ('csv("tiny/cost.csv", rows="3")', "has no column rows"),
        ("numbr(1)", "numbr"),
        ("number(", "unexpected"),
    ],
)
def test_a_template_that_asks_for_what_is_not_there(reference, tmp_path, asked, message):
    template = tmp_path / TEMPLATES / "docs" / "x.md.j2"
    template.parent.mkdir(parents=True)
    template.write_text(f"a {{{{ {asked} }}}}")
    with pytest.raises(StudyError, match=message) as caught:
        rendered(tmp_path, reference)
    assert str(caught.value).startswith(str(template))
    assert "\n" not in str(caught.value)


def test_every_page_is_written_once(reference, tmp_path):
    for name in ("README.md", "docs/a.md"):
        template = tmp_path / TEMPLATES / f"{name}.j2"
        template.parent.mkdir(parents=True, exist_ok=True)
        template.write_text('{{ number("tiny/cost.csv", "seconds", job="a") }}\n')
    assert {p.relative_to(tmp_path) for p in write_pages(tmp_path, reference)} == {
        Path("README.md"),
        Path("docs/a.md"),
    }
    assert (tmp_path / "docs" / "a.md").read_text() == "1000.25\n"
    assert write_pages(tmp_path, reference) == []

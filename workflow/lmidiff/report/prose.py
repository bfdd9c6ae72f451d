"""Numbers in prose: README and docs take theirs from recorded files, never from a keyboard.

``docs/templates/<page>.j2`` is rendered to ``<page>`` by ``lmidiff readme``; the page that one
reads has no markers. A template may ask for

    number(file, column, digits, divide, **where)   one number of a recorded CSV
    difference(study, claim)                        a claim's difference with its interval
    part(study, claim, source, quantity, against)   one comparison of a claim, with its interval
    verdict(study, claim)                           held, did not hold, undecided or not run
    counts(study)                                   how many claims came out how
    setting(study, key)                             a setting of its config, a.b for b under a
    hours(study)                                    of a processor, over all of its jobs
    people(study, split)                            how many people of a split
    trainings(study)                                such as "3 trainings"
    rows(study, methods)                            a few rows of a recorded table 1
    csv(file, columns, digits, **where)             a recorded CSV as a table
    recorded                                        the recorded studies

``docs/results/<study>.md`` is made from each record. What has not been recorded prints "not run".
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jinja2
import pandas as pd
import yaml
from tabulate import tabulate

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.report.keys import keys
from lmidiff.report.recorded_text import records, results_page
from lmidiff.report.summary import read_table, short_rows
from lmidiff.verdicts.text import difference_text, read_verdicts, trainings_text, verdict_counts

TEMPLATES = Path("docs", "templates")
RESULTS = Path("docs", "results")
NOT_RUN = "not run"
GIVEN = (
    *("number", "difference", "part", "verdict", "counts", "setting"),
    *("hours", "people", "trainings", "rows", "csv"),
)
"""Methods of :class:`Recorded` that templates call."""


def rendered(root: Path, reference: Path) -> dict[Path, str]:
    """Every page that carries recorded numbers, and what it says.

    Args:
        root: of the project.
        reference: the recorded runs, ``results/reference``.

    Raises:
        StudyError: there are no templates, or one asks a recorded file for what it does not have.
    """
    if not (root / TEMPLATES).is_dir():
        raise StudyError(f"{root / TEMPLATES}: no such folder; go to the top of the repository")
    said = Recorded(reference)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root / TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    for name in GIVEN:
        environment.globals[name] = getattr(said, name)
    environment.globals["keys"] = partial(keys, root)
    environment.globals["recorded"] = [folder.name for folder in records(reference)]
    pages = {}
    for template in sorted((root / TEMPLATES).rglob("*.j2")):
        name = template.relative_to(root / TEMPLATES)
        try:
            pages[root / name.with_suffix("")] = environment.get_template(str(name)).render()
        except (jinja2.TemplateError, StudyError) as error:
            raise StudyError(f"{template}: {' '.join(str(error).split())}") from error
    for folder in records(reference):
        pages[root / RESULTS / f"{folder.name}.md"] = results_page(folder)
    return pages


def write_pages(root: Path, reference: Path) -> list[Path]:
    """Write the pages that say another thing than before; returns them."""
    changed = []
    for page, text in rendered(root, reference).items():
        if not page.is_file() or page.read_text() != text:
            page.parent.mkdir(parents=True, exist_ok=True)
            write_text(page, text)
            changed.append(page)
    return changed


class Recorded:
    """What templates may ask of the recorded runs.

    Args:
        reference: their folder.
    """

    def __init__(self, reference: Path) -> None:
        self.reference = reference

    def number(
        self, file: str, column: str, digits: int | None = None, divide: float = 1, **where: str
    ) -> str:
        """A number of a CSV, ``file`` being relative to the records.

        Raises:
            StudyError: the file has no such column, or not one such row.
        """
        frame = self._cells(file, [column], where)
        if frame is None:
            return NOT_RUN
        if len(frame) != 1:
            raise StudyError(f"{file}: {len(frame)} rows with {where}, not one")
        cell = frame[column].iloc[0]
        if not cell:
            return NOT_RUN
        return cell if digits is None else f"{float(cell) / divide:.{digits}f}"

    def csv(
        self, file: str, columns: str | None = None, digits: int | None = None, **where: str
    ) -> str:
        """Rows of a CSV in Markdown; ``columns`` separated by commas, all of them if None."""
        frame = self._cells(file, columns.split(",") if columns else None, where)
        if frame is None or frame.empty:
            return f"{NOT_RUN.capitalize()}.\n"
        shown = frame if digits is None else frame.map(lambda cell: _rounded(cell, digits))
        return tabulate(
            shown, headers="keys", tablefmt="github", disable_numparse=True, showindex=False
        )

    def verdict(self, study: str, claim: str) -> str:
        """How a claim came out."""
        return self._claim(study, claim).get("verdict", NOT_RUN)

    def difference(self, study: str, claim: str) -> str:
        """The difference and interval of a claim where it stands weakest."""
        row = self._claim(study, claim)
        return difference_text(row) if row.get("effect") else NOT_RUN

    def part(self, study: str, claim: str, source: str, quantity: str, against: str) -> str:
        """The difference and interval of one comparison of a claim.

        Raises:
            StudyError: the record has no such comparison.
        """
        frame = self._cells(
            f"{study}/verdict_parts.csv",
            None,
            {"claim": claim, "source": source, "quantity": quantity, "against": against},
        )
        if frame is None:
            return NOT_RUN
        if len(frame) != 1:
            where = f"{claim} against {against} from {source}, {quantity}"
            raise StudyError(f"{study}/verdict_parts.csv: {len(frame)} rows of {where}, not one")
        return difference_text(frame.iloc[0])

    def counts(self, study: str) -> str:
        """Such as "5 held, 3 did not hold, 2 undecided"."""
        verdicts = self._verdicts(study)
        return NOT_RUN if verdicts is None else verdict_counts(verdicts)

    def setting(self, study: str, key: str) -> str:
        """A setting that a study was recorded with, such as ``sampling.steps``.

        Raises:
            StudyError: the config has no such key.
        """
        path = self.reference / study / "record" / "config.yaml"
        if not path.is_file():
            return NOT_RUN
        found = yaml.safe_load(path.read_text())
        for name in key.split("."):
            if not isinstance(found, dict) or name not in found:
                raise StudyError(f"{path}: has no key {key}")
            found = found[name]
        return str(found)

    def hours(self, study: str) -> str:
        """The processor hours that a study's jobs took, added up: "6.4"."""
        column = "cpu_seconds"  # of the wall's seconds some may have passed waiting for others
        frame = self._cells(f"{study}/record/cost.csv", [column], {"job": "all"})
        return NOT_RUN if frame is None else f"{frame[column].astype(float).sum() / 3600:.1f}"

    def people(self, study: str, split: str) -> str:
        """How many people a study had in a split."""
        frame = self._cells(f"{study}/split.tsv", None, {"split": split}, sep="\t")
        return NOT_RUN if frame is None else str(len(frame))

    def trainings(self, study: str) -> str:
        """How often each network of a study was trained, such as "one training"."""
        verdicts = self._verdicts(study)
        return NOT_RUN if verdicts is None else trainings_text(verdicts)

    def rows(self, study: str, methods: Sequence[str]) -> str:
        """Rows of a study's table in Markdown, in the order given, for each source."""
        if not (self.reference / study / "table1.csv").is_file():
            return f"{NOT_RUN.capitalize()}.\n"
        table = read_table(self.reference / study)
        wanted = table[table["method"].isin(methods)]
        order = {name: place for place, name in enumerate(methods)}
        wanted = wanted.sort_values("method", key=lambda c: c.map(order), kind="stable")
        shown = short_rows(wanted)
        if len(set(wanted["source"])) == 1:
            shown = [{k: v for k, v in row.items() if k != "source"} for row in shown]
        return tabulate(shown, headers="keys", tablefmt="github", disable_numparse=True)

    def _cells(
        self,
        file: str,
        columns: Sequence[str] | None,
        where: Mapping[str, str],
        sep: str = ",",
    ) -> pd.DataFrame | None:
        """The cells asked for, as text; None where nothing is recorded."""
        path = self.reference / file
        if not path.is_file():
            return None
        frame = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)
        for name in (*(columns or ()), *where):
            if name not in frame:
                raise StudyError(f"{path}: has no column {name}")
        for name, value in where.items():
            frame = frame[frame[name] == value]
        return frame[list(columns)] if columns else frame

    def _claim(self, study: str, claim: str) -> dict[str, str]:
        verdicts = self._verdicts(study)
        if verdicts is None or claim not in set(verdicts["claim"]):
            return {}
        return verdicts.set_index("claim").loc[claim].to_dict()

    def _verdicts(self, study: str) -> pd.DataFrame | None:
        folder = self.reference / study
        return read_verdicts(folder) if (folder / "verdicts.csv").is_file() else None


def _rounded(cell: str, digits: int) -> str:
    if re.fullmatch(r"-?\d+", cell):
        return cell  # a count stays a count
    try:
        return f"{float(cell):.{digits}f}"
    except ValueError:
        return cell

"""What README says of a recorded run."""

from pathlib import Path

from lmidiff.report.summary import cost_text, read_table, scores_text, spread_text
from lmidiff.verdicts.text import legend, read_verdicts, verdict_sentences, verdict_table

NOT_RECORDED = "No run of this study has been recorded yet.\n"


def results_text(folder: Path) -> str:
    """The README's account of a recorded run, in Markdown; every number is read from its files."""
    if not folder.is_dir():
        return NOT_RECORDED
    table = read_table(folder)
    verdicts = ""
    if (folder / "verdicts.csv").is_file():
        frame = read_verdicts(folder)
        rule = "How that is decided: [docs/verdicts.md](docs/verdicts.md)."
        verdicts = f"{verdict_table(frame)}\n{f'{legend(frame).strip()} {rule}'.strip()}\n\n"
    return (
        f"{verdicts}"
        f"{scores_text(table)}\n\n"
        f"{spread_text(table)} All columns: [table1.md]({folder}/table1.md).\n\n"
        f"![Figure 2]({folder}/figures/figure2.png)\n\n"
        f"{cost_text(folder)}\n"
    )


def verdicts_text(folder: Path) -> str:
    """The verdicts of a recorded run in words, for the first lines of README."""
    if not (folder / "verdicts.csv").is_file():
        return NOT_RECORDED
    return verdict_sentences(read_verdicts(folder))

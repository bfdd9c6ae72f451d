"""``report.md``: what a study found, on one page to paste into a review."""

import json
from pathlib import Path
from typing import Any

import yaml

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.tables import NOT_OBTAINED
from lmidiff.report.notes import note_of
from lmidiff.report.summary import (
    cost_text,
    folds_text,
    holes_text,
    read_table,
    scores_text,
    spread_text,
)
from lmidiff.verdicts.text import legend, read_verdicts, verdict_sentences, verdict_table


def report_text(folder: Path) -> str:
    """The page; every number in it is read from a file of the study's folder.

    Args:
        folder: with ``verdicts.csv``, ``table1.csv`` and ``record/`` (config, provenance, cost).

    Raises:
        StudyError: one of these files is missing.
    """
    for name in ("record/config.yaml", "record/provenance.json"):
        if not (folder / name).is_file():
            raise StudyError(f"{folder / name}: no such file; run the study first (make reproduce)")
    config = yaml.safe_load((folder / "record" / "config.yaml").read_text())
    provenance = json.loads((folder / "record" / "provenance.json").read_text())
    verdicts, table = read_verdicts(folder), read_table(folder)
    holes = holes_text(table)
    parts = [
        f"# Study `{config['study']}`: what held",
        _data_text(config),
        note_of(config),
        folds_text(folder),
        verdict_sentences(verdicts),
        "## Verdicts",
        verdict_table(verdicts),
        f"{legend(verdicts).strip()} The rule is in `docs/verdicts.md`.".strip(),
        "## Scores",
        scores_text(table),
        spread_text(table),
        "Missing from the table: " + "; ".join(holes) + "." if holes else "",
        _paper_text(table),
        "## Cost",
        cost_text(folder),
        "## Where this comes from",
        _origin_text(provenance),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _data_text(config: dict[str, Any]) -> str:
    data, grid = config["data"], config["data"]["grid"]
    cohorts = []
    for name, cohort in data["cohorts"].items():
        counts = cohort.get("subjects", {})
        if "subjects" in cohort and not any(counts.values()):
            continue
        people = ", ".join(f"{count} {split}" for split, count in counts.items())
        cohorts.append(f"{name} ({cohort['kind']}{': ' + people if people else ''})")
    return (
        f"Translation to {data['target']} from {', '.join(data['sources'])}. Cohorts: "
        f"{'; '.join(cohorts)}. Grid: {grid['image_size']} px of {grid['pixel_size']} mm, "
        f"{grid['slices']} slices a subject. Seed {config['seed']}."
    )


def _paper_text(table: Any) -> str:
    typed = table[table["paper"] != NOT_OBTAINED]
    if typed.empty:
        return f"The paper's own values: {NOT_OBTAINED}."
    texts = [
        f"{row['label']} from {row['source']}, {row['quantity']}: paper {row['paper']}"
        f" (p. {row['page']}), here {row['difference'] or 'missing'} above it"
        for _, row in typed.iterrows()
    ]
    return "The paper's own values: " + "; ".join(texts) + "."


def _origin_text(provenance: dict[str, Any]) -> str:
    versions = provenance["versions"]
    return (
        "Verdicts: `verdicts.csv`, `verdict_parts.csv`. Scores: `table1.csv`, from `metrics.csv` "
        "and `slices.csv`; every pair with the reference row: `comparisons.csv`. Cost and "
        "provenance: `record/`.\n\n"
        f"Code: commit `{provenance['commit'][:12]}`, sha256 `{provenance['code_sha256'][:12]}`; "
        f"config sha256 `{provenance['config_sha256'][:12]}`; {provenance['device']}; "
        f"Python {versions['python']}, torch {versions['torch']}, "
        f"Snakemake {versions['snakemake']}."
    )

"""The page of the report that says what its numbers were made from and with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmidiff.report.html import write_html


def write_provenance_page(record: Mapping[str, Any], config: str, path: str | Path) -> None:
    """Write what ``record/provenance.json`` and ``record/config.yaml`` say as one HTML page.

    Args:
        record: see :func:`lmidiff.records.provenance.record`.
        config: the resolved config as YAML text.
        path: the HTML file, written atomically.
    """
    names = {
        "commit": "commit",
        "code_sha256": "hash of the code",
        "config_sha256": "hash of the config",
        "device": "device",
    }
    about = [(title, record[key]) for key, title in names.items() if key in record]
    title = f"Provenance of study {record['study']}"
    write_html("provenance.html", path, title=title, record=record, about=about, config=config)

"""A recorded run as the beginning of a study: what is read from it, and what is made anew."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic
from lmidiff.records.packed import ENDING, unpack
from lmidiff.records.recorded import SUMS, check_record

#: Made anew from the rest, whether or not the record keeps a copy to compare with.
DERIVED = (
    "table1.*",
    "verdicts.csv",
    "verdict_parts.csv",
    "comparisons.csv",
    "gap.csv",
    "report.md",
    "figures/*",
    "report/*",
    "ro-crate-metadata.json",
)
#: Methods that had another key when some of the records were made; their rows keep it.
RENAMED = {"ours": "self_consistent"}
#: Figures that are drawn from the weights themselves: these are copied.
KEPT_FIGURES = "figures/samples.*"


def recorded_config(folder: str | Path, exclude: Sequence[str] = ()) -> dict[str, Any]:
    """The config that a recorded run was made with, and where the record is.

    The record's own config counts, not today's ``config/``: the run is drawn as it was made, but
    for people who are left out.

    Args:
        folder: the record.
        exclude: test subjects to leave out, beside those that the run itself left out.

    Raises:
        StudyError: there is no such record.
    """
    path = Path(folder) / "record" / "config.yaml"
    if not path.is_file():
        raise StudyError(f"{path}: no such recorded run; `ls results/reference` lists them")
    config = yaml.safe_load(path.read_text())
    for key, now in RENAMED.items():
        if block := config["methods"].get(key):
            block.setdefault("method", now)
    left_out = dict.fromkeys([*config["data"].get("exclude", []), *exclude])
    if left_out:
        config["data"]["exclude"] = list(left_out)
    # Whose weights it took over no longer matters: nothing is translated.
    config.pop("checkpoints", None)
    return {**config, "recorded": str(folder)}


def restorable(folder: str | Path) -> dict[str, str]:
    """Recorded files that are not made anew: name in the record to name in a study, sorted.

    A packed file is copied as the file it holds.

    Raises:
        StudyError: the folder lacks its list of checksums, or lacks a file that figures need.
    """
    sums = Path(folder) / SUMS
    if not sums.is_file():
        raise StudyError(f"{sums}: missing; record the study (make record)")
    names = [line.split("  ", 1)[1] for line in sums.read_text().splitlines()]
    kept = {
        name: name.removesuffix(ENDING)
        for name in sorted(names)
        if fnmatch(name, KEPT_FIGURES) or not any(fnmatch(name, pattern) for pattern in DERIVED)
    }
    for needed in ("metrics.csv", "slices.csv", "split.tsv", "extracts/figure2.safetensors"):
        if needed not in kept.values():
            raise StudyError(
                f"{folder}: keeps no {needed}, so it cannot be drawn from; it was recorded by an "
                "older version: run the study and record it again (make reproduce record)"
            )
    return kept


def restore(record: str | Path, files: Mapping[str, str], exclude: Sequence[str] = ()) -> None:
    """Copy recorded files to where a study's rules look for them.

    Args:
        record: the recorded run; first, every file of it is compared with its checksum.
        files: name in the record -> path of the copy.
        exclude: subjects whose rows are left out of every table.

    Raises:
        StudyError: a recorded file is missing or was edited, shows one of those left out, or a copy
            cannot be written.
    """
    check_record(Path(record))
    for name, path in files.items():
        content = unpack(Path(record) / name)
        with atomic(path) as temporary:
            temporary.write_bytes(_without(content, name.removesuffix(ENDING), exclude))


def _without(content: bytes, name: str, exclude: Sequence[str]) -> bytes:
    """A recorded file without some subjects."""
    if not exclude:
        return content
    if name == "record/config.yaml":
        config = yaml.safe_load(content)
        config["data"]["exclude"] = list(exclude)
        return yaml.safe_dump(config, sort_keys=False).encode()
    if name.endswith((".csv", ".tsv")):
        head, *rows = content.decode().splitlines(keepends=True)
        between = "\t" if name.endswith(".tsv") else ","
        columns = head.rstrip("\n").split(between)
        if "subject" not in columns:
            return content
        place = columns.index("subject")
        kept = [row for row in rows if row.rstrip("\n").split(between)[place] not in exclude]
        return "".join([head, *kept]).encode()
    shown = [who for who in exclude if f'"{who}"'.encode() in content.replace(b"\\", b"")]
    if shown and name.endswith(".safetensors"):
        raise StudyError(
            f"{name}: shows {shown[0]}, who is to be left out; run the study without them instead"
        )
    return content

"""The provenance of a recorded run as an RO-Crate: inputs, code, commands and results.

A Process Run Crate (profile 0.5): one action, the run, whose instrument is the code at its commit,
whose objects are the inputs with checksums and licences, and whose results are the recorded files.
"""

import importlib.metadata
import json
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nilearn.datasets
import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from lmidiff.common.errors import StudyError
from lmidiff.common.files import sha256, write_text
from lmidiff.data.cohorts import Subject, subjects_of
from lmidiff.data.downloads import LEDGER, Downloads
from lmidiff.data.ixi import archive_of
from lmidiff.data.ledger import Entry, read_ledger
from lmidiff.records.packed import ENDING

CRATE = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCES = {
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC BY-SA 3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
}
CODE_LICENCE = "Apache-2.0"
COMMANDS = (
    "make reproduce CONFIG={folder}/record/config.yaml",
    "make from-checkpoints RECORD={folder}",
    "make figures RECORD={folder}",
)


@dataclass(frozen=True)
class Source:
    """One input of a run.

    Attributes:
        name: of the file.
        url: where it is published, or a name of its own for what a package carries.
        checksum: ``sha256:...`` or ``md5:...``, "" for what has none.
        licence: its short name.
        citation: whom to credit.
    """

    name: str
    url: str
    checksum: str
    licence: str
    citation: str


def template_sources(version: str) -> list[Source]:
    """The tissue maps that nilearn carries, which simulated people are made from.

    Args:
        version: of nilearn.
    """
    folder = Path(nilearn.datasets.__file__).parent / "data"
    return [
        Source(
            path.name,
            f"pkg:pypi/nilearn@{version}#nilearn/datasets/data/{path.name}",
            f"sha256:{sha256(path)}",
            "ICBM 152 licence: free to use, copy, modify and distribute with its notice",
            "Fonov et al., NeuroImage 2011;54:313-327",
        )
        for path in sorted(folder.glob("mni_icbm152_*.nii.gz"))
    ]


def sources_of(files: Sequence[str], ledger: Sequence[Entry]) -> list[Source]:
    """What the ledger says of the files a study read; a file it does not list is one's own.

    Args:
        files: paths of scans and label maps, a public one below a folder of its data set's name;
            archives by their name.
        ledger: see :func:`lmidiff.data.ledger.read_ledger`.
    """
    known = {f"{entry.dataset}/{entry.file}": entry for entry in ledger}
    archives = {entry.file: entry for entry in ledger if entry.member_bytes}
    found = []
    for file in dict.fromkeys(files):
        name, parts = Path(file).name, Path(file).parts
        ends = ("/".join(parts[first:]) for first in range(len(parts)))
        entry = next((known[end] for end in ends if end in known), archives.get(file))
        if entry is not None:
            about = (entry.url, entry.checksum, entry.licence, entry.citation)
        else:
            digest = f"sha256:{sha256(file)}" if Path(file).is_file() else ""
            about = (f"#input-{name}", digest, "not public", "the user's own file")
        found.append(Source(name, *about))
    return found


def write_crate(folder: Path, printed: Path, inputs: Sequence[Source]) -> None:
    """Describe the recorded run in ``folder`` by a ``ro-crate-metadata.json`` inside it.

    Args:
        folder: with ``record/provenance.json``, ``record/config.yaml`` and what else was recorded.
        printed: how commands call the folder.
        inputs: what the run read.

    Raises:
        StudyError: the provenance or the config is missing or not readable.
    """
    try:
        record = json.loads((folder / "record" / "provenance.json").read_text())
        config = yaml.safe_load((folder / "record" / "config.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StudyError(f"{folder / 'record'}: not a readable record ({error})") from error
    crate = ROCrate()
    crate.name = f"Recorded run of study {record['study']}"
    crate.description = (
        f"Zero-shot translation to {config['data']['target']} from "
        f"{', '.join(config['data']['sources'])}: scores, figures and weights of a reproducibility "
        "study of LMIDiffusion (arXiv 2404.01102)."
    )
    crate.license = LICENCES[CODE_LICENCE]
    crate.root_dataset["conformsTo"] = {"@id": PROFILE}
    code = _code(crate, record)
    objects = [_input(crate, source) for source in inputs]
    results = [
        _file(crate, path, folder)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CRATE
    ]
    commands = [command.format(folder=printed) for command in COMMANDS]
    action = {
        "@type": "CreateAction",
        "name": f"Run of study {record['study']}",
        "description": "Commands: " + "; ".join(commands),
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }
    run = crate.add(ContextEntity(crate, "#run", properties=action))
    run["instrument"], run["object"], run["result"] = code, objects, results
    crate.root_dataset["mentions"] = run
    crate.metadata.write(folder)
    # Indented by four, it is a third larger, and read by programs.
    compact = json.dumps(json.loads((folder / CRATE).read_text()), separators=(",", ":"))
    write_text(folder / CRATE, compact + "\n")


def _code(crate: ROCrate, record: Mapping[str, Any]) -> ContextEntity:
    properties = {
        "@type": "SoftwareApplication",
        "name": "lmidiff",
        "softwareVersion": record["commit"],
        "sha256": record["code_sha256"],
        "license": LICENCES[CODE_LICENCE],
        "softwareRequirements": [
            f"{name} {version}" for name, version in sorted(record["versions"].items())
        ],
        "processorRequirements": record["device"],
    }
    return crate.add(ContextEntity(crate, "#code", properties=properties))


def _input(crate: ROCrate, source: Source) -> Any:
    kind, _, digest = source.checksum.partition(":")
    properties: dict[str, Any] = {
        "@type": "CreativeWork",
        "name": source.name,
        "license": LICENCES.get(source.licence, source.licence),
        "citation": source.citation,
    }
    if digest:
        properties["sha256" if kind == "sha256" else "identifier"] = (
            digest if kind == "sha256" else source.checksum
        )
    return crate.add(ContextEntity(crate, source.url, properties=properties))


def _file(crate: ROCrate, path: Path, folder: Path) -> Any:
    name = str(path.relative_to(folder))
    known = {".safetensors": "application/octet-stream", ".yaml": "application/yaml"}
    known |= {ENDING: "application/x-xz"}
    kind = known.get(path.suffix) or mimetypes.guess_type(name)[0] or "text/plain"
    properties = {
        "sha256": sha256(path),
        "contentSize": str(path.stat().st_size),
        "encodingFormat": kind,
    }
    return crate.add_file(path, dest_path=name, properties=properties)


def files_of(
    person: Subject, cohorts: Mapping[str, Mapping[str, Any]], modalities: Sequence[str]
) -> list[str]:
    """What a person's images come from: scans, a label map, or the archives that hold the scans."""
    if cohorts[person.cohort]["kind"] == "ixi":
        return [archive_of(modality) for modality in modalities]
    return [file for file in (*person.scans.values(), person.anatomy) if file]


def add_crate(folder: Path, goal: Path) -> None:
    """Describe the run of the study in ``folder`` inside its record ``goal``.

    Raises:
        StudyError: the record is not readable, or the study's inputs are gone.
    """
    data = yaml.safe_load((folder / "record" / "config.yaml").read_text())["data"]
    modalities = [data["target"], *data["sources"]]
    ledger, roots = read_ledger(LEDGER), [Path(root) for root in data["roots"]]
    downloads = Downloads(ledger, roots)
    people = subjects_of(data["cohorts"], modalities, downloads, data.get("exclude", ()))
    files = [file for person in people for file in files_of(person, data["cohorts"], modalities)]
    inputs = sources_of(files, ledger)
    if any(not person.scans and not person.anatomy for person in people):
        inputs += template_sources(importlib.metadata.version("nilearn"))
    write_crate(goal, Path("results/reference") / folder.name, inputs)

"""IXI as a cohort: the committed split, the names of its files, and a study that uses it."""

import copy
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lmidiff.__main__ import main
from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.data.ixi import (
    SHARES,
    Person,
    count,
    names_in,
    read_people,
    split_subjects,
    write_people,
)
from lmidiff.data.ledger import read_ledger
from lmidiff.records.provenance import record
from lmidiff.study.models import merge
from lmidiff.study.people import People
from lmidiff.study.study import Study
from workflows import ROOT, copy_project, counted, jobs_of, planned_on_cluster

SPLIT = ROOT / "config" / "ixi_split.tsv"
HEADER = "subject\tsite\tscan\tsplit"
# What public lists of IXI's files show beside the subjects of the split.
T1_ALONE = {"IXI116-Guys-0739", "IXI182-Guys-0792", "IXI309-IOP-0897", "IXI500-Guys-1017"}
NO_T1 = {"IXI580-IOP-1157"}


@pytest.fixture
def config() -> dict:
    default, ixi = (
        yaml.safe_load((ROOT / "config" / name).read_text()) for name in ("config.yaml", "ixi.yaml")
    )
    merged = merge(default, ixi)
    merged["data"]["cohorts"]["ixi"]["split"] = str(SPLIT)
    return merged


@pytest.fixture(scope="module")
def ledger() -> list:
    return read_ledger(ROOT / "config" / "datasets.tsv")


def archive(path: Path, names: Iterable[str], suffix: str) -> Path:
    """A tar of empty members of these names, and what a Mac leaves in one."""
    with tarfile.open(path, "w") as made:
        for name in [*sorted(names), "._IXI002-Guys-0828"]:
            made.addfile(tarfile.TarInfo(f"{name}-{suffix}.nii.gz"), io.BytesIO())
    return path


# -- the split ------------------------------------------------------------------------------------


def test_the_committed_split_is_what_the_command_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    names = {person.name for person in read_people(SPLIT)}
    lists = {"T1": names | T1_ALONE, "PD": names | NO_T1, "T2": names | NO_T1}
    # Counts that the data set's page and public projects give for the archives.
    assert {suffix: len(found) for suffix, found in lists.items()} == {
        "T1": 581,
        "PD": 578,
        "T2": 578,
    }
    archives = [archive(tmp_path / f"IXI-{s}.tar", found, s) for s, found in lists.items()]
    out = tmp_path / "split.tsv"
    assert main(["ixi-split", *map(str, archives), "--out", str(out)]) == 0
    assert out.read_bytes() == SPLIT.read_bytes()
    printed = capsys.readouterr().out
    assert "577 subjects have T1w, PDw, T2w" in printed
    assert f"T1w, but not all of them: {', '.join(sorted(T1_ALONE))}" in printed
    assert main(["ixi-split", *map(str, archives), "--out", str(out), "--seed", "2"]) == 0
    assert out.read_bytes() != SPLIT.read_bytes()


def test_the_committed_split_has_the_same_shares_of_every_site() -> None:
    people = read_people(SPLIT)
    assert len({person.subject for person in people}) == len(people) == 577
    sites = count(people)
    assert set(sites) == {"Guys", "HH", "IOP"}
    for counts in sites.values():
        for split, share in SHARES.items():
            assert abs(counts[split] - share * sum(counts.values())) <= 0.5


NAMES = st.sets(
    st.tuples(st.integers(1, 999), st.sampled_from(["Guys", "HH", "IOP"]), st.integers(0, 9999)),
    min_size=1,
    max_size=60,
).map(
    lambda rows: {f"IXI{n:03}-{site}-{scan:04}" for n, (_, site, scan) in enumerate(sorted(rows))}
)


@given(NAMES, st.integers(0, 5))
def test_splitting_is_stratified_stable_and_blind_to_order(names: set[str], seed: int) -> None:
    people = split_subjects(sorted(names), seed)
    assert people == split_subjects(sorted(names, reverse=True), seed)
    assert {person.name for person in people} == names
    for counts in count(people).values():
        for split, share in SHARES.items():
            assert counts[split] == round(share * sum(counts.values()))
    # Who leaves moves at most one other at each of the two borders.
    gone = min(names)
    before = {p.name: p.split for p in people if p.name != gone}
    after = {p.name: p.split for p in split_subjects(names - {gone}, seed)}
    assert sum(before[name] != after[name] for name in after) <= 2


def test_a_split_is_read_as_written(tmp_path: Path) -> None:
    people = split_subjects(["IXI012-HH-1211", "IXI002-Guys-0828"])
    write_people(people, tmp_path / "split.tsv", ["a comment"])
    assert read_people(tmp_path / "split.tsv") == people
    assert people[0] == Person("sub-IXI002", "Guys", "0828", "train")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([HEADER], "the split of IXI lists nobody"),
        ([HEADER, "IXI012\tHH\t1211\ttest"], "line 2 (IXI012): subject 'IXI012' is not like"),
        ([HEADER, "sub-IXI012\tH/H\t1211\ttest"], "site 'H/H' is not plain letters"),
        ([HEADER, "sub-IXI012\tHH\t121\ttest"], "scan '121' is not the four digits"),
        ([HEADER, "sub-IXI012\tHH\t1211\tdev"], "split 'dev' is unknown; use train, val, test"),
        (
            [HEADER, "sub-IXI012\tHH\t1211\ttest", "sub-IXI012\tHH\t1212\ttrain"],
            "sub-IXI012 is there twice, as IXI012-HH-1211 in test and as IXI012-HH-1212 in train",
        ),
        (["subject\tsite\tsplit", "sub-IXI012\tHH\ttest"], "column 'scan' is missing"),
    ],
)
def test_each_mistake_in_a_split_is_one_line(tmp_path: Path, lines: list[str], says: str) -> None:
    path = tmp_path / "split.tsv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(StudyError) as caught:
        read_people(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_archives_that_are_not_ixis(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one = archive(tmp_path / "IXI-T1.tar", ["IXI012-HH-1211"], "T1")
    other = archive(tmp_path / "IXI-PD.tar", ["IXI013-HH-1212"], "PD")
    with pytest.raises(StudyError, match=r"has no member like IXI012-HH-1211-PD\.nii\.gz"):
        names_in(one, "PDw")
    out = tmp_path / "split.tsv"
    third = archive(tmp_path / "IXI-T2.tar", ["IXI013-HH-1212"], "T2")
    assert main(["ixi-split", str(one), str(other), str(third), "--out", str(out)]) == 1
    assert "no subject is in all of T1w, PDw, T2w" in capsys.readouterr().err
    assert not out.exists()


# -- the study ------------------------------------------------------------------------------------


def test_subjects_have_raw_scans_and_no_labels(config: dict, ledger: list) -> None:
    check_config(config)
    study = Study(config, ledger)
    subject = study.people.subject("sub-IXI012")
    assert subject.raw
    assert not subject.labels
    assert subject.scans["PDw"] == "resources/ixi/scans/IXI012-HH-1211-PD.nii.gz"
    assert set(subject.scans) == {"T1w", "PDw", "T2w"}
    assert sum(len(study.people.subjects(split)) for split in ("train", "val", "test")) == 577
    assert not study.people.generated_cohorts


def test_only_the_archives_of_the_studys_modalities_are_needed(config: dict, ledger: list) -> None:
    config["data"]["sources"] = ["PDw"]
    assert People(config, ledger).archives == {"T1w": "IXI-T1.tar", "PDw": "IXI-PD.tar"}
    config["data"]["sources"] = ["FLAIR"]
    with pytest.raises(StudyError, match="IXI has no FLAIR; it has T1w, PDw, T2w"):
        People(config, ledger)
    config["data"]["sources"] = ["T2w"]
    with pytest.raises(StudyError, match=r"datasets\.tsv: no line for IXI-T1\.tar of ixi"):
        People(config, [])


def test_another_test_set_is_another_study(config: dict, ledger: list, tmp_path: Path) -> None:
    def digest(settings: dict) -> str:
        return record({}, config, "cpu", Study(settings, ledger).people.roll)["study_sha256"]

    before = digest(config)
    assert digest(copy.deepcopy(config)) == before
    moved = copy.deepcopy(config)
    path = tmp_path / "split.tsv"
    path.write_text(
        SPLIT.read_text().replace("sub-IXI015\tHH\t1258\ttest", "sub-IXI015\tHH\t1258\ttrain")
    )
    moved["data"]["cohorts"]["ixi"]["split"] = str(path)
    assert digest(moved) != before
    shorter = tmp_path / "shorter.tsv"
    shorter.write_text(SPLIT.read_text().replace("sub-IXI015\tHH\t1258\ttest\n", ""))
    moved["data"]["cohorts"]["ixi"]["split"] = str(shorter)
    assert digest(moved) != before


@pytest.mark.variant
def test_the_whole_study_is_planned_without_an_archive(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "a project")
    printed = planned_on_cluster(folder, "--configfile", "config/ixi.yaml")
    jobs = jobs_of(printed)
    fetched = [job.outputs for job in jobs if job.rule == "fetch"]
    assert sorted(fetched) == [
        (f"resources/ixi/IXI-{suffix}.tar.verified",) for suffix in ("PD", "T1", "T2")
    ]
    extracted = [output for job in jobs if job.rule == "extract" for output in job.outputs]
    assert len(extracted) == len(set(extracted)) == 3 * 577
    assert all(job.data == {name for (name,) in fetched} for job in jobs if job.rule == "extract")
    count, here, there, sent = counted(printed)
    assert count == here + there == len(jobs)
    assert here < 60  # fetching, tables, figures
    assert sent < 300
    assert {"train_model", "tune_method", "score", "write_table"} <= {job.rule for job in jobs}
    assert not (folder / "resources").exists()

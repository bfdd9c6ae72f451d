"""Which file stands for what: public data that is not here yet, is here, or lies elsewhere."""

from pathlib import Path

import pytest
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.data.downloads import Downloads, ordered
from lmidiff.data.fetch import fetch
from lmidiff.data.ledger import Entry, read_ledger
from lmidiff.study.models import merge
from lmidiff.study.study import Study
from workflows import ROOT

MD5_OF_X = "md5:9dd4e461268c8034f5c8564e155c67a6"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the project's config and no data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")


def study_of(name: str) -> Study:
    default, own = (
        yaml.safe_load(Path("config", file).read_text()) for file in ("config.yaml", name)
    )
    config = merge(default, own)
    config["data"]["roots"] = ["resources", "elsewhere"]
    return Study(config, read_ledger("config/datasets.tsv"))


def put(path: str, text: str = "x") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


FILES = ("erly", "late", "spgr", "tissues")


def test_what_a_sheet_names_and_the_ledger_knows_is_fetched() -> None:
    study = study_of("sri24.yaml")
    scans = study.people.subject("sub-sri24").scans
    assert set(scans.values()) == {f"resources/sri24/{name}.nii.gz" for name in FILES}
    receipts = {f"resources/sri24/{name}.nii.gz.verified" for name in FILES}
    assert set(study.people.scan_files("sub-sri24")) == receipts


def test_a_file_in_the_first_root_is_verified_and_one_elsewhere_is_taken_as_it_is() -> None:
    for name in FILES:
        put(f"elsewhere/sri24/{name}.nii.gz")
    put("resources/sri24/late.nii.gz")
    assert set(study_of("sri24.yaml").people.scan_files("sub-sri24")) == {
        "elsewhere/sri24/erly.nii.gz",
        "resources/sri24/late.nii.gz.verified",
        "elsewhere/sri24/spgr.nii.gz",
        "elsewhere/sri24/tissues.nii.gz",
    }


def test_a_file_in_a_folder_of_its_data_set_is_fetched_or_taken_from_elsewhere() -> None:
    ledger = read_ledger("config/datasets.tsv")
    downloads = Downloads(ledger, [Path("resources"), Path("elsewhere")])
    name = "ixi_hh_2mm", "t1/IXI012-HH-1211_T1.nii.gz"
    there = "ixi_hh_2mm/t1/IXI012-HH-1211_T1.nii.gz"
    assert downloads.path(*name) == f"resources/{there}"
    assert downloads.stand_in(f"resources/{there}") == f"resources/{there}.verified"
    assert downloads.stand_in(f"resources/other/{there}") == f"resources/other/{there}"
    put(f"elsewhere/{there}")
    assert downloads.path(*name) == f"elsewhere/{there}"
    assert downloads.stand_in(f"elsewhere/{there}") == f"elsewhere/{there}"


def test_no_file_of_the_real_people_that_is_beside_the_checkout_is_fetched() -> None:
    shared = ROOT.parent / "shared" / "data"
    if not (shared / "ixi_hh_2mm").is_dir():
        pytest.skip(f"{shared / 'ixi_hh_2mm'} is not here")
    downloads = Downloads(read_ledger("config/datasets.tsv"), [Path("resources"), shared])
    places = [downloads.path(*name) for name in downloads.entries if name[0] != "ixi"]
    assert len(places) == 367
    assert all(place.startswith(str(shared)) for place in places)


def test_a_verified_file_that_changed_is_noticed_when_the_study_is_read() -> None:
    entry = Entry("sri24", "late.nii.gz", "https://x.org/late.nii.gz", "", 1, MD5_OF_X, "CC0", "N")
    downloads = Downloads([entry], [Path("resources")])
    path, receipt = "resources/sri24/late.nii.gz", "resources/sri24/late.nii.gz.verified"
    assert downloads.stand_in(path) == receipt
    put(path)
    fetch(entry, path, receipt)
    assert downloads.stand_in(path) == receipt
    put(path, "y")
    with pytest.raises(StudyError, match=r"late\.nii\.gz: md5 is .* delete it and fetch it again"):
        downloads.stand_in(path)


def test_label_maps_are_fetched_all_or_taken_from_elsewhere() -> None:
    wanted = [f"resources/anatomies/training_seg_{n:02}.nii.gz" for n in range(1, 17)]
    for here in ([], wanted[:3], wanted):  # nothing, a killed fetch, all
        for path in here:
            put(path)
        study = study_of("anatomies.yaml")
        assert list(study.people.anatomy_of("anatomies").values()) == wanted
        assert study.people.anatomies("anatomies") == [f"{path}.verified" for path in wanted]
        assert [study.people.members[0].id, study.people.members[-1].id] == ["sub-01", "sub-16"]


def test_ones_own_label_maps_are_left_alone() -> None:
    for number in range(1, 17):
        put(f"elsewhere/anatomies/mine_{number:02}.nii.gz")
    study = study_of("anatomies.yaml")
    assert study.people.anatomies("anatomies")[0] == "elsewhere/anatomies/mine_01.nii.gz"


def test_an_unknown_missing_file_is_still_an_error() -> None:
    put("mine.tsv", "subject\tmodality\tpath\tsplit\n1\tT1w\tsri24/gone.nii.gz\ttest\n")
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    config["data"]["cohorts"]["mine"] = {"kind": "sheet", "sheet": "mine.tsv"}
    with pytest.raises(StudyError, match=r"path 'sri24/gone\.nii\.gz' is no file in"):
        Study(config, read_ledger("config/datasets.tsv"))


def test_an_order_names_the_bytes_and_not_where_they_are() -> None:
    downloads = Downloads(read_ledger("config/datasets.tsv"), [Path("data"), Path("elsewhere")])
    order = downloads.order("ixi", "IXI-PD.tar")
    assert order == {
        "dataset": "ixi",
        "file": "IXI-PD.tar",
        "checksum": "md5:88ecd9d1fa33cb4a2278183b42ffd749",
    }
    entry, receipt = downloads.entry("ixi", "IXI-PD.tar"), "data/ixi/IXI-PD.tar.verified"
    roots = ["data", "elsewhere"]
    assert ordered(order, roots) == (entry, "data/ixi/IXI-PD.tar", receipt)
    put("elsewhere/ixi/IXI-PD.tar")
    assert ordered(order, roots) == (entry, "elsewhere/ixi/IXI-PD.tar", receipt)
    assert downloads.order("ixi", "IXI-PD.tar") == order

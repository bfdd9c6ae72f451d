"""Whole brains for a network: whose, on which grid, and what is refused before any job."""

from pathlib import Path

import pytest
import yaml
from test_study import sheet_of

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.study.models import merge
from lmidiff.study.study import Study
from lmidiff.study.whole import Whole
from workflows import ROOT

NETWORK = {"network": {"model": "model5_gw_ae", "slices": 64}}


STRUCTURES = {"model": "model30chan18cls", "rows": ["source", "oracle"]}


@pytest.fixture
def config(tmp_path: Path) -> dict:
    """One person of a sheet is tested; nobody else has scans."""
    default = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    rows = [f"sub-a {modality} test" for modality in ("T1w", "PDw")]
    cohorts = {"simulated": {"subjects": {"train": 2, "val": 0, "test": 0}}}
    cohorts["mine"] = sheet_of(tmp_path, *rows)
    data = {"sources": ["PDw"], "cohorts": cohorts}
    kept = {"data": data, "rows": ["source", "histogram", "oracle"], "segmentation": NETWORK}
    return merge(default, kept)


def whole(config: dict) -> Whole:
    check_config(config)
    return Whole(Study(config))


def test_a_whole_brain_is_the_studys_grid_from_bottom_to_top(config):
    there = whole(config)
    grid = config["data"]["grid"]
    assert there.wanted
    assert there.grid == {**grid, "slices": 64, "extent": [0.0, 1.0]}
    assert there.depth == pytest.approx(64 / grid["slices"])


def test_its_files_are_apart_from_the_studys_and_no_labels_are_read(config):
    there, study = whole(config), Study(config)
    assert not set(there.volumes("sub-a")) & set(study.people.volume_files("sub-a"))
    assert set(there.scans("sub-a")["sub-a"]) == {"T1w", "PDw"}
    assert there.translations("source", "PDw").keys() == there.targets().keys() == {"sub-a"}
    assert there.study.answers("source", 0, there.paths) == []
    assert there.study.answers("oracle", 0, there.paths) == list(there.targets().values())


def test_structures_are_of_the_rows_named_and_of_the_truth(config):
    assert whole(config).structures is None
    there = whole(merge(config, {"segmentation": {"network": {"structures": STRUCTURES}}}))
    assert there.structure_runs == [("source", "PDw"), ("oracle", "PDw")]
    found, wanted, mask = there.structure_files("source", "PDw")["sub-a"]
    assert found.startswith(f"{there.structure_labels('source', 'PDw')}/sub-a_")
    assert wanted.startswith(f"{there.true_structures}/sub-a_")
    assert mask == there.volumes("sub-a")[-1]
    folders = {there.true_structures, there.true_labels, Path(found).parent.as_posix()}
    assert len(folders) == 3


def test_structures_need_a_row_that_one_network_translates_everybody_with(config, tmp_path):
    rows = [f"sub-{who} {modality} test" for who in "ab" for modality in ("T1w", "PDw")]
    rows += ["sub-c T1w train", "sub-d T1w train"]
    config["data"]["cohorts"]["simulated"]["subjects"]["train"] = 0
    config["data"]["cohorts"]["mine"] = sheet_of(tmp_path, *rows)
    config["models"]["supervised_PDw"] = {"family": "supervised", "source": "PDw", "cross_fit": 2}
    config["methods"]["supervised"] = {"model": {"PDw": "supervised_PDw"}}
    config["rows"] = ["source", "supervised", "oracle"]
    there = {"segmentation": {"network": {"structures": {**STRUCTURES, "rows": ["source"]}}}}
    assert whole(merge(config, there)).structure_rows == ["source"]
    there["segmentation"]["network"]["structures"]["rows"] = ["supervised"]
    with pytest.raises(StudyError, match="rows names supervised, which is no row"):
        whole(merge(config, there))


def test_without_the_key_nothing_is_asked_for(config):
    del config["segmentation"]["network"]
    assert not whole(config).wanted


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"segmentation": {"network": {"slices": 12}}}, r"network\.slices 12 .* 12\.7 mm apart"),
        ({"data": {"grid": {"pixel_size": 4.0}}}, r"network needs data\.grid\.pixel_size"),
        (
            {"data": {"cohorts": {"simulated": {"subjects": {"test": 1}}}}},
            "scans of whole brains, but sub-.* generated",
        ),
        ({"segmentation": {"network": {"model": "model6"}}}, r"segmentation\.network\.model"),
        ({"segmentation": {"network": {"planes": 3}}}, r"segmentation\.network\.planes"),
        (
            {"segmentation": {"network": {"structures": {**STRUCTURES, "rows": ["cyclegan"]}}}},
            r"structures\.rows names cyclegan, which is no row",
        ),
    ],
)
def test_what_no_network_can_label_is_refused_in_a_line(config, change, says):
    with pytest.raises(StudyError, match=says) as caught:
        whole(merge(config, change))
    assert "\n" not in str(caught.value)


def test_a_recorded_run_is_not_asked_for_scans(config):
    config = merge(config, {"data": {"cohorts": {"simulated": {"subjects": {"test": 1}}}}})
    study = Study(config)
    study.config["recorded"] = "results/reference/some"
    assert Whole(study).wanted

"""Recorded runs as RO-Crates, kept weights, and what is taken back from a record."""

import hashlib
import json
import lzma
from pathlib import Path

import pytest
import torch
import yaml
from rocrate.rocrate import ROCrate
from safetensors.torch import load_file, save_file

from lmidiff.common.errors import StudyError
from lmidiff.common.files import sha256
from lmidiff.data.cohorts import recorded_members
from lmidiff.data.ledger import read_ledger
from lmidiff.records import checkpoints
from lmidiff.records.checkpoints import keep_weights, take_model
from lmidiff.records.crate import add_crate, sources_of, template_sources
from lmidiff.records.recorded import SUMS, check_record
from lmidiff.records.replay import recorded_config, restorable, restore
from lmidiff.records.served import missing_weights, served
from lmidiff.study.models import merge

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of a small record, with its checksums."""
    folder = tmp_path / "reference" / "tiny"
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text()) | {"study": "tiny"}
    files = {
        "record/config.yaml": yaml.safe_dump(config),
        "record/provenance.json": json.dumps(
            {
                "study": "tiny",
                "commit": "abc123",
                "code_sha256": "0" * 64,
                "device": "a processor",
                "versions": {"python": "3.11", "nilearn": "0.13.1"},
            }
        ),
        "metrics.csv": "a\n1\n",
        "split.tsv": "subject\tsplit\nsub-01\ttrain\nsub-03\ttest\nsub-02\ttest\n",
        "extracts/figure2.safetensors": "x",
        "table1.csv": "t\n",
        "figures/figure2.png": "p",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "slices.csv.xz").write_bytes(lzma.compress(b"a\n1\n"))
    held = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{sha256(path)}  {path.relative_to(folder)}\n" for path in held]
    (folder / SUMS).write_text("".join(sums))
    return folder


# -- the crate ------------------------------------------------------------------------------------


def test_the_crate_is_read_back_by_its_library(kept, monkeypatch):
    monkeypatch.chdir(ROOT)
    add_crate(kept, kept)
    crate = ROCrate(kept)
    assert "tiny" in crate.name
    files = {entity.id: entity for entity in crate.get_by_type("File")}
    on_disk = {str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()}
    assert set(files) == on_disk - {"ro-crate-metadata.json"}
    assert b"\n " not in (kept / "ro-crate-metadata.json").read_bytes(), "a third is indentation"
    for name, entity in files.items():
        data = (kept / name).read_bytes()
        assert entity["sha256"] == hashlib.sha256(data).hexdigest()
        assert int(entity["contentSize"]) == len(data)
    run = crate.get("#run")
    assert run["instrument"]["softwareVersion"] == "abc123"
    assert "make figures RECORD=results/reference/tiny" in run["description"]
    assert {entity.id for entity in run["result"]} == set(files)
    inputs = run["object"]
    assert len(inputs) == 3
    for entity in inputs:
        assert len(entity["sha256"]) == 64
        assert entity["license"]
        assert "Fonov" in entity["citation"]


def test_inputs_come_with_the_ledgers_checksum_and_licence(tmp_path):
    ledger = read_ledger(ROOT / "config" / "datasets.tsv")
    own = tmp_path / "mine.nii.gz"
    own.write_bytes(b"scan")
    entry = next(each for each in ledger if each.file == "spgr.nii.gz")
    found = sources_of(
        ["somewhere/sri24/spgr.nii.gz", str(own), "somewhere/sri24/spgr.nii.gz"], ledger
    )
    assert [source.name for source in found] == ["spgr.nii.gz", "mine.nii.gz"]
    assert (found[0].checksum, found[0].licence) == (entry.checksum, entry.licence)
    assert found[1].checksum == f"sha256:{hashlib.sha256(b'scan').hexdigest()}"
    assert found[1].licence == "not public"
    own.rename(tmp_path / "T1.nii.gz")  # a public file of some data set is called so, too
    assert sources_of([str(tmp_path / "T1.nii.gz")], ledger)[0].licence == "not public"
    person = "ixi_hh_2mm/t1/IXI012-HH-1211_T1.nii.gz"
    assert sources_of([f"../shared/data/{person}"], ledger)[0].licence == "CC BY-SA 3.0"
    assert [s.name.split("_")[2] for s in template_sources("1.0")] == ["gm", "t1", "wm"]


@pytest.mark.parametrize(
    ("study", "inputs"),
    [
        ("anatomies", [f"training_seg_{n:02d}.nii.gz" for n in (1, 16)]),
        ("sri24", ["spgr.nii.gz", "erly.nii.gz", "late.nii.gz"]),
        ("ixi", ["IXI-T1.tar", "IXI-PD.tar", "IXI-T2.tar"]),
    ],
)
def test_the_inputs_of_every_kind_of_cohort_come_from_the_ledger(kept, monkeypatch, study, inputs):
    monkeypatch.chdir(ROOT)
    config = kept / "record" / "config.yaml"
    own = yaml.safe_load((ROOT / "config" / f"{study}.yaml").read_text())
    config.write_text(yaml.safe_dump(merge(yaml.safe_load(config.read_text()), own)))
    add_crate(kept, kept)
    found = {each["name"]: each for each in ROCrate(kept).get("#run")["object"]}
    ledger = {entry.file: entry for entry in read_ledger("config/datasets.tsv")}
    for name in inputs:
        assert found[name].id == ledger[name].url
    assert not any("not public" in str(each.get("license")) for each in found.values())


def test_a_record_without_provenance_is_one_line(kept, monkeypatch):
    monkeypatch.chdir(ROOT)
    (kept / "record" / "provenance.json").write_text("{")
    with pytest.raises(StudyError, match="not a readable record"):
        add_crate(kept, kept)


# -- weights --------------------------------------------------------------------------------------


def model(folder: Path, name: str, size: int, config: dict) -> Path:
    path = folder / "models" / name / "weights.safetensors"
    path.parent.mkdir(parents=True)
    weights = {"w": torch.randn(size, generator=torch.manual_seed(0)), "n": torch.arange(3)}
    save_file(weights, path)
    (path.parent / "config.json").write_text(json.dumps(config))
    return path


def test_weights_are_kept_small_and_come_back_close(tmp_path, monkeypatch):
    settings = {"family": "diffusion", "unet": {"channels": [4]}, "training": {"steps": 9}}
    big = model(tmp_path / "run", "big", 60_000, settings)
    small = model(tmp_path / "run", "small", 50, settings)
    assert keep_weights(tmp_path / "run", tmp_path / "kept") == []
    half = tmp_path / "kept" / "models" / "big" / "weights.safetensors"
    assert half.stat().st_size < 0.51 * big.stat().st_size
    assert load_file(half)["w"].dtype == torch.float16
    assert load_file(half)["n"].dtype == torch.int64
    exact = load_file(tmp_path / "kept" / "models" / "small" / "weights.safetensors")
    assert torch.equal(exact["w"], load_file(small)["w"])

    (half.parent / "config.json").write_text(
        json.dumps({**settings, "training": {"steps": 1}, "contrast": {"knots": 3}})
    )
    output = tmp_path / "new" / "weights.safetensors"
    take_model(half, settings, output)
    taken, before = load_file(output)["w"], load_file(big)["w"]
    assert taken.dtype == torch.float32
    assert torch.allclose(taken, before, rtol=2**-11, atol=1e-7)
    assert not torch.equal(taken, before)
    other = {**settings, "unet": {"channels": [8]}}
    with pytest.raises(StudyError, match=r"config\.json: unet is .*4.* but .*8"):
        take_model(half, other, output)

    assert missing_weights(["big", "gone"], tmp_path / "kept") == ["gone"]
    monkeypatch.setattr(checkpoints, "MOST_BYTES", 100_000)
    assert keep_weights(tmp_path / "run", tmp_path / "less") == ["big"]
    assert missing_weights(["big", "small"], tmp_path / "less") == ["big"]
    assert keep_weights(tmp_path / "run", tmp_path / "named", ["big"]) == ["small"]
    assert missing_weights(["big", "small"], tmp_path / "named") == ["small"]
    with pytest.raises(StudyError, match=r"gone.*no such weights to keep"):
        keep_weights(tmp_path / "run", tmp_path / "none", ["gone"])


def test_rows_without_weights_are_left_out_by_name(tmp_path):
    (tmp_path / "models" / "one").mkdir(parents=True)
    (tmp_path / "models" / "one" / "weights.safetensors").write_bytes(b"x")
    methods = {"source": {}, "a": {"model": "one"}, "b": {"model": {"PDw": "one", "T2w": "two"}}}
    config = {"methods": {**methods, "c": {"model": "three"}}, "rows": ["a", "b", "source"]}
    kept, left = served(config, tmp_path)
    assert left == ["b", "c"]
    assert kept["rows"] == ["a", "source"]
    assert kept["methods"] == {"source": {}, "a": {"model": "one"}, "b": None, "c": None}
    with pytest.raises(StudyError, match="of any row"):
        served(config, tmp_path / "nowhere")


@pytest.mark.parametrize(("rows", "stay"), [(["source", "b"], ["source"]), (["b"], None)])
def test_structures_are_labelled_of_rows_that_are_made(tmp_path, rows, stay):
    (tmp_path / "models" / "one").mkdir(parents=True)
    (tmp_path / "models" / "one" / "weights.safetensors").write_bytes(b"x")
    labelled = {"model": "x", "rows": rows}
    config = {
        "methods": {"source": {}, "a": {"model": "one"}, "b": {"model": "two"}},
        "segmentation": {"clusters": 3, "network": {"slices": 9, "structures": labelled}},
    }
    kept, _ = served(config, tmp_path)
    network = {"slices": 9} | ({"structures": {**labelled, "rows": stay}} if stay else {})
    assert kept["segmentation"] == {"clusters": 3, "network": network}


def test_a_cross_fitted_row_needs_the_weights_of_every_part(tmp_path):
    methods = {"a": {"model": "one"}, "b": {"model": "two"}}
    config = {"methods": methods, "models": {"one": {"cross_fit": 2}, "two": {}}}
    for name in ("one", "two"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "weights.safetensors").write_bytes(b"x")
    assert served(config, tmp_path)[1] == ["a"]
    (tmp_path / "models" / "one_fold-2").mkdir()
    (tmp_path / "models" / "one_fold-2" / "weights.safetensors").write_bytes(b"x")
    assert served(config, tmp_path)[1] == []


# -- taking back ----------------------------------------------------------------------------------


def test_what_is_made_anew_is_not_taken_from_the_record(kept, tmp_path):
    names = restorable(kept)
    assert "metrics.csv" in names
    assert names["slices.csv.xz"] == "slices.csv"
    assert not {"table1.csv", "figures/figure2.png"} & set(names)
    restore(kept, {name: str(tmp_path / "out" / place) for name, place in names.items()})
    for name, place in names.items():
        content = (kept / name).read_bytes()
        content = lzma.decompress(content) if name.endswith(".xz") else content
        assert (tmp_path / "out" / place).read_bytes() == content
    (kept / "table1.csv").write_text("better\n")
    with pytest.raises(StudyError, match=r"table1\.csv: differs from what was recorded"):
        restore(kept, {})


def test_a_record_says_who_was_in_which_split(kept):
    members = recorded_members(kept)
    assert [(m.id, m.split) for m in members] == [
        ("sub-01", "train"),
        ("sub-03", "test"),
        ("sub-02", "test"),
    ]
    assert recorded_config(kept)["recorded"] == str(kept)


def test_records_that_cannot_be_drawn_say_why(kept, tmp_path):
    with pytest.raises(StudyError, match="no such recorded run"):
        recorded_config(tmp_path / "nothing")
    with pytest.raises(StudyError, match="SHA256SUMS: missing"):
        restorable(tmp_path)
    lines = (kept / SUMS).read_text().splitlines(keepends=True)
    (kept / SUMS).write_text("".join(line for line in lines if "extracts" not in line))
    for file in (kept / "extracts").iterdir():
        file.unlink()
    with pytest.raises(StudyError, match=r"keeps no extracts/figure2\.safetensors.*older version"):
        restorable(kept)
    check_record(kept)

"""Inputs nobody would think of: drawn from a seed, given to the project, and judged.

Each kind draws a case in a folder and runs it. It must end well, with the right geometry or table,
or in one line that names the file, key or subject; a traceback, two lines, silence or a result that
lies elsewhere than its source is a finding.
"""

import contextlib
import copy
import gzip
import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from lmidiff.__main__ import main
from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.data.bids import read_bids
from lmidiff.data.sheet import read_sheet
from lmidiff.data.splits import SPLITS, read_split
from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.models.histogram import QUANTILES
from lmidiff.study.study import Study
from workflows import ROOT

IMAGES = {
    "target": "T1w",
    "percentile": 99.5,
    "grid": {"image_size": 32, "pixel_size": 6.0, "slices": 4, "extent": [0.2, 0.8]},
}
ODD = [
    "",
    " ",
    "\x00",
    "é",
    "日本",
    "#",
    "#1",
    "..",
    "/",
    "~",
    '"',
    "'",
    "{x}",
    "a b",
    "-",
    "\ufeff",
]
NUMBERS = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-30, 1e30, -1e30, 1e-3, 0.5, 2.0, 255.0, 32767.0]


@dataclass(frozen=True)
class Command:
    """A command line and what it reads and writes."""

    arguments: list[str]
    source: Path
    out: Path
    number: int | None = None


def captured(arguments: list[str]) -> tuple[int, str]:
    """Exit status and standard error of a command, run in this process."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, said.getvalue()


# --- images ---------------------------------------------------------------------------------


def shape_of(rng: np.random.Generator) -> tuple[int, ...]:
    shape = tuple(int(n) for n in rng.integers(1, 14, 3))
    extras = [(1,), (1, 1), (2,), (3, 1), (1, 3), (2, 2, 1, 1)]
    extra = extras[rng.integers(6)] if rng.random() < 0.25 else ()
    return (shape + extra)[: 2 if rng.random() < 0.03 else None]


def affine_of(rng: np.random.Generator) -> np.ndarray:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if rng.random() < 0.6:  # along the axes, as most scans
        turn = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)
    zooms = rng.uniform(0.3, 6, 3)
    if rng.random() < 0.1:
        zooms[rng.integers(3)] = rng.choice(NUMBERS)
    affine = np.eye(4)
    with np.errstate(all="ignore"):
        affine[:3, :3] = turn * zooms
    affine[:3, 3] = rng.uniform(-150, 150, 3)
    if rng.random() < 0.1:
        affine[:3, :3] += rng.normal(size=(3, 3)) * rng.choice([1e-4, 1e-2, 0.3])
    return affine


def voxels_of(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of 0..1, air around something, in a type of NIfTI's."""
    data = np.where(rng.random(shape) < 0.4, 0, rng.random(shape)).astype(np.float32)
    sound = ["f4", "f8", "u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8"]
    kind = rng.choice(sound * 3 + ["c8", "c16", "rgb"])
    if rng.random() < 0.06:
        data.flat[rng.integers(data.size)] = rng.choice(NUMBERS)
    if kind == "rgb":
        return np.zeros(shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    dtype = np.dtype(kind)
    with np.errstate(all="ignore"):
        if dtype.kind in "iu":
            top = 100 if dtype.itemsize == 1 else 1000
            return np.nan_to_num(data * top).astype(dtype)
        return data.astype(dtype)


def draw_image(rng: np.random.Generator, folder: Path) -> Path:
    """A file: a sound image, then up to four things about it that are not."""
    data, affine = voxels_of(rng, shape_of(rng)), affine_of(rng)
    order = ">" if rng.random() < 0.3 else "<"
    kind = rng.choice(
        ["nii"] * 5 + ["nii.gz"] * 5 + ["nii2", "nii2", "img", "img", "mgz", "analyze"]
    )
    stem = folder / rng.choice(["in", "a b", "é", "in.put", "IN"])
    make = {"nii2": nib.Nifti2Image, "img": nib.Nifti1Pair, "analyze": nib.AnalyzeImage}
    if kind == "mgz":
        path = stem.with_name(stem.name + ".mgz")
        stored = rng.random((*data.shape, 1, 1, 1)[:3]).astype(np.float32)
        with np.errstate(all="ignore"):
            nib.save(nib.MGHImage(stored, affine), path)
        path.write_bytes(damage(rng, path.read_bytes()))
        return path
    cls = make.get(kind, nib.Nifti1Image)
    if kind == "analyze":
        data = np.ones(data.shape, "i2")
    header = cls.header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    ending = ".img" if kind in ("img", "analyze") else f".{kind.replace('nii2', 'nii')}"
    path = stem.with_name(stem.name + ending)
    raw = bytearray()
    if kind != "analyze":
        forms(rng, header, affine)
        if data.dtype.kind in "iu":
            header["scl_slope"], header["scl_inter"] = 1 / (100 if data.itemsize == 1 else 1000), 0
    header["magic" if kind != "analyze" else "descrip"] = (
        {"img": b"ni1", "nii2": b"n+2\x00\r\n\x1a\n"}.get(kind, b"n+1")
        if kind != "analyze"
        else b""
    )
    size = header.template_dtype.itemsize
    offset = 0 if ending == ".img" else size + 4
    header["vox_offset"] = offset
    fields = header.structarr.copy()
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        spoil(rng, fields)
    raw += fields.tobytes()
    body = data.astype(data.dtype.newbyteorder(order)).tobytes(order="F")
    if ending == ".img":
        path.with_suffix(".hdr").write_bytes(bytes(raw))
        path.write_bytes(body)
        return path
    extension = b"\0\0\0\0"
    if rng.random() < 0.1:
        extension = bytes([rng.integers(2), 0, 0, 0])
        body = struct.pack("<ii", *rng.choice([16, 7, -8, 2**30], 2)) + bytes(8) + body
    content = bytes(raw) + extension + body
    content = damage(rng, content)
    if ending.endswith(".gz"):
        content = damage(rng, gzip.compress(content, 1, mtime=0))
    path.write_bytes(content)
    return path


def forms(rng: np.random.Generator, header: Any, affine: np.ndarray) -> None:
    codes = rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 99], 2)
    other = affine.copy()
    match rng.integers(12):
        case 0:
            other[:3, 3] += rng.normal(size=3) * 20
        case 1:
            other[0] *= -1
        case 2:
            other = affine_of(rng)
        case 3:
            other += rng.normal(size=(4, 4)) * 1e-5
        case _:
            codes[codes == 0] = 1
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        header.set_qform(other, int(codes[1]), strip_shears=True)
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    header["sform_code"], header["qform_code"] = codes
    if rng.random() < 0.4:
        header["xyzt_units"] = rng.choice([0, 1, 2, 3, 2 | 8, 1 | 16, 7, 255])


def spoil(rng: np.random.Generator, fields: np.ndarray) -> None:
    """Give a field of the header a value it should not have."""
    names = [n for n in fields.dtype.names if n not in ("sizeof_hdr",) or rng.random() < 0.1]
    name = rng.choice(names)
    part = fields[name]
    with np.errstate(all="ignore"):
        if part.dtype.kind == "S":
            fields[name] = rng.bytes(3)
        elif part.ndim:
            place = rng.integers(part.shape[-1])
            part[..., place] = strange(rng, part.dtype)
        else:
            fields[name] = strange(rng, part.dtype)


def strange(rng: np.random.Generator, dtype: np.dtype) -> Any:
    if dtype.kind == "f":
        return rng.choice(NUMBERS)
    info = np.iinfo(dtype)
    return rng.choice([info.min, info.max, 0, 1, 2, 5, 8, int(rng.integers(0, info.max))])


def damage(rng: np.random.Generator, content: bytes) -> bytes:
    """Mostly nothing; else cut short, a byte changed, emptied, or something added."""
    chance = rng.random()
    if chance < 0.04:
        return content[: rng.integers(len(content))]
    if chance < 0.08:
        changed = bytearray(content)
        changed[rng.integers(len(content))] ^= int(1 << rng.integers(8))
        return bytes(changed)
    if chance < 0.09:
        return b""
    return content + rng.bytes(20) if chance < 0.11 else content


def draw_command(rng: np.random.Generator, folder: Path) -> Command:
    """`segment` or `translate` of an image, or `view`."""
    source = draw_image(rng, folder)
    out = folder / rng.choice(["out.nii", "out.nii.gz"])
    number = int(rng.integers(3)) if rng.random() < 0.1 else None
    given = ["--source", str(source), "--out", str(out)]
    given += ["--volume", str(number)] if number is not None else []
    if rng.random() < 0.8:
        KMeansModel((0.2, 0.5, 0.8), 100, 1).save(folder / "kmeans.json")
        arguments = ["segment", "--model", str(folder / "kmeans.json"), "--translated", *given]
        return Command(arguments, source, out, number)
    write_weights(folder)
    given += ["--mask", str(source)] if number is None else []
    arguments = ["translate", "--weights", str(folder / "weights.safetensors"), *given]
    return Command(arguments, source, out, number)


def write_weights(folder: Path) -> None:
    measured = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(0.6)}
    save_file(measured, folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps({"family": "histogram", "images": IMAGES}))


def judge(command: Command, status: int, said: str) -> None:
    """Raise AssertionError where a command ended otherwise than it must."""
    assert "Traceback" not in said, said
    if status:
        assert_one_line(said, command)
        assert not command.out.exists(), "half a result"
        return
    source, result = nib.load(command.source), nib.load(command.out)
    shape = source.shape if command.number is None else source.shape[:3]
    assert result.shape == shape, (result.shape, shape)
    assert np.isfinite(source.affine).all()
    assert np.linalg.det(source.affine[:3, :3]) != 0
    edge = np.linalg.norm(source.affine[:3, :3], axis=0).min()
    off = np.abs(
        nib.affines.apply_affine(source.affine, shape[:3])
        - nib.affines.apply_affine(result.affine, shape[:3])
    )
    assert (off < 0.02 * edge + 1e-5 * np.abs(source.affine).max()).all(), off
    # A qform of NIfTI-2 has more digits than NIfTI-1 holds; then the place counts, as sform.
    if isinstance(source, nib.Nifti1Pair) and source.header["sizeof_hdr"] == 348:
        one, two = source.header, result.header
        assert int(one["sform_code"]) == int(two["sform_code"]), "sform_code"
    if command.arguments[0] == "segment":
        before, after = np.asarray(source.dataobj), np.asarray(result.dataobj)
        if command.number is not None:  # a volume of one, or the one that there is
            before = before.reshape(*shape, -1)[..., command.number]
        seen = np.nan_to_num(before.reshape(shape).astype(np.float32)) > 0
        np.testing.assert_array_equal(after.reshape(shape) > 0, seen)


def assert_one_line(said: str, command: Command) -> None:
    lines = [line for line in said.splitlines() if line.startswith("ERROR ")]
    assert len(lines) == 1, said
    assert said.rstrip("\n").endswith(lines[0]), said
    scan = str(command.source.with_name("in.nii"))
    names = (str(command.source), str(command.out), scan, "argument --")
    assert any(name in lines[0] for name in names), said


def images(rng: np.random.Generator, folder: Path) -> str:
    command = draw_command(rng, folder)
    status, said = captured(command.arguments)
    judge(command, status, said)
    return "refused" if status else "done"


# --- tables ---------------------------------------------------------------------------------


def files_in(folder: Path) -> list[str]:
    names = [f"s{number}.nii.gz" for number in range(6)] + ["a b.nii", "é.nii.gz", "x#1.nii"]
    for name in names:
        (folder / name).write_bytes(b"x")
    (folder / "folder.nii").mkdir()
    return [
        *names,
        *(str(folder / name) for name in names),
        f"{names[0]}#1",
        "folder.nii",
        "none.nii",
    ]


def encoded(rng: np.random.Generator, rows: list[list[str]]) -> bytes:
    """Rows as editors and spreadsheets save them."""
    tab = rng.choice(["\t"] * 12 + [",", ";", "  "])
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    if rng.random() < 0.2:
        rows = [[f'"{cell}"' for cell in row] for row in rows]
    text = end.join(tab.join(row) for row in rows) + (end if rng.random() < 0.8 else "")
    coding = rng.choice(["utf-8"] * 8 + ["utf-8-sig"] * 3 + ["utf-16", "latin-1"])
    content = text.encode(coding, errors="replace")
    return damage(rng, content) if rng.random() < 0.3 else content


def spoil_rows(rng: np.random.Generator, rows: list[list[str]]) -> None:
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        row = rows[rng.integers(len(rows))]
        match rng.integers(7):
            case 0:
                row[rng.integers(len(row))] = str(rng.choice(ODD))
            case 1:
                row.append(str(rng.choice(ODD)))
            case 2:
                row.pop() if len(row) > 1 else None
            case 3:
                rows.append(list(row))
            case 4:
                row[rng.integers(len(row))] += str(rng.choice(ODD))
            case 5:
                rows.insert(
                    int(rng.integers(len(rows) + 1)), ["# said"] if rng.random() < 0.5 else [""]
                )
            case 6:
                rng.shuffle(row)


def told(error: StudyError, *names: Path) -> str:
    """An error as the command line prints it: one line that names what it is about."""
    assert "\n" not in str(error).strip(), repr(str(error))
    assert str(error).strip()
    assert not names or any(str(name) in str(error) for name in names), str(error)
    return "refused"


def sheets(rng: np.random.Generator, folder: Path) -> str:
    paths = files_in(folder)
    columns = ["subject", "modality", "path", "split"] + ["mask"] * int(rng.random() < 0.3)
    rows = [columns]
    for number in range(rng.integers(1, 5)):
        for modality in ("T1w", "PDw")[: rng.integers(1, 3)]:
            path = str(rng.choice(paths[:6])) if rng.random() < 0.3 else f"s{len(rows) % 6}.nii.gz"
            path = str(rng.choice(paths)) if rng.random() < 0.1 else path
            row = [
                f"{'sub-' * int(rng.random() < 0.5)}{number:02d}",
                modality,
                path,
                SPLITS[number % 3],
            ]
            rows.append(row + [""] * (len(columns) - 4))
    spoil_rows(rng, rows)
    sheet = folder / "sheet.tsv"
    sheet.write_bytes(encoded(rng, rows))
    try:
        table = read_sheet(sheet)
    except StudyError as error:
        return told(error, sheet)
    assert len(table)
    assert not table.duplicated(["subject", "modality"]).any()
    assert table.groupby("subject")["split"].nunique().max() == 1
    assert set(table["split"]) <= set(SPLITS)
    assert table["subject"].str.fullmatch("sub-[A-Za-z0-9]+").all()
    assert all(Path(path.split("#1")[0]).exists() or Path(path).exists() for path in table["path"])
    return "done"


def splits(rng: np.random.Generator, folder: Path) -> str:
    rows = [["subject", "split"]]
    rows += [[f"{n:02d}", str(rng.choice(SPLITS))] for n in range(rng.integers(0, 6))]
    if rng.random() < 0.3:
        rows = [row[::-1] for row in rows]
    spoil_rows(rng, rows)
    path = folder / "split.tsv"
    path.write_bytes(encoded(rng, rows))
    try:
        found = read_split(path)
    except StudyError as error:
        return told(error, path)
    people = [name for names in found.values() for name in names]
    assert people
    assert len(people) == len(set(people))
    assert all(name.startswith("sub-") and name[4:].isalnum() for name in people), people
    return "done"


ENTITIES = ["ses-1", "ses-2", "acq-mprage", "run-1", "run-2", "rec-norm", "echo-1", "part-mag"]
ENTITIES += ["part-phase", "desc-preproc", "space-MNI", "ce-gad", "dir-AP", "odd", "run-", "-1"]


def bids(rng: np.random.Generator, folder: Path) -> str:
    top = folder / "bids"
    people = [f"sub-{name}" for name in rng.choice(["01", "02", "A", "x y", "é", "01_02"], 2)]
    written = []
    for person in people:
        for modality in ("T1w", "PDw", "T1w", "PDT2", "T2w")[: rng.integers(1, 6)]:
            entities = sorted(rng.choice(ENTITIES, rng.choice([0, 0, 0, 1, 1, 2]), replace=False))
            session = [e for e in entities if e.startswith("ses-")][:1]
            name = "_".join([person, *entities, modality]) + rng.choice(
                [".nii.gz", ".nii", ".json"]
            )
            path = top.joinpath(
                person, *session, rng.choice(["anat", "anat", "anat", "func"]), name
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            written.append(path)
    how = str(rng.choice(["test", "train", "split.tsv", "nonsense"], p=[0.6, 0.2, 0.15, 0.05]))
    if how == "split.tsv":
        rows = [["subject", "split"], *([person, "test"] for person in set(people))]
        spoil_rows(rng, rows)
        (top / how).write_bytes(encoded(rng, rows))
    try:
        table = read_bids(top, ["T1w", "PDw"], how)
    except StudyError as error:
        return told(error, top)
    assert not table.duplicated(["subject", "modality"]).any()
    for subject, rows in table.groupby("subject"):
        names = [Path(path).name for path in rows["path"]]
        assert all(name.startswith(f"{subject}_") for name in names)
        assert not any("part-phase" in name for name in names)
        assert len({"ses-1" in name for name in names}) == 1, names
        assert len({"ses-2" in name for name in names}) == 1, names
    return "done"


# --- configs and checkpoints ----------------------------------------------------------------

JUNK: list[Any] = [None, "", "x", 0, -1, 1, 3, 1e9, 10**30, 0.5, float("nan"), float("inf"), True]
JUNK += [[], {}, [1], ["x", "x"], {"x": 1}, [[]], "../..", "a b", "é", "T1w", "2024-01-01"]


def places(tree: Any, at: tuple = ()) -> list[tuple]:
    """Every place in a tree of mappings and lists."""
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [at] * bool(at) + [place for key, value in inner for place in places(value, (*at, key))]


def spoil_tree(rng: np.random.Generator, tree: Any) -> Any:
    """A copy with one to three places changed, taken out or added to; and where."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 2, 3])):
        *way, last = (found := places(tree))[rng.integers(len(found))]
        parent = tree
        for key in way:
            parent = parent[key]
        match rng.integers(5):
            case 0:
                del parent[last]
            case 1 if isinstance(parent, dict):
                parent[rng.choice(["x", "studdy", "", "é"])] = JUNK[rng.integers(len(JUNK))]
            case _:
                parent[last] = copy.deepcopy(JUNK[rng.integers(len(JUNK))])
    return tree


CONFIGS = {
    name: yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "smoke")
}


def overlaid(base: Any, over: Any) -> Any:
    """As Snakemake lays one config over another."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return copy.deepcopy(over)
    return {
        key: overlaid(base.get(key), over[key]) if key in over else base[key] for key in base | over
    }


def configs(rng: np.random.Generator, folder: Path) -> str:  # noqa: ARG001
    whole = CONFIGS["config"]
    if rng.random() < 0.5:
        whole = overlaid(whole, CONFIGS["smoke"])
    config = spoil_tree(rng, whole)
    try:
        check_config(config)
        study = Study(config)
    except StudyError as error:
        return told(error)
    assert study.people.subjects("test")
    assert study.folder.parts[0] == "results"
    assert len(study.folder.parts) == 2
    return "done"


def checkpoints(rng: np.random.Generator, folder: Path) -> str:
    """Weights and their config, a segmenter: spoiled, then used on a sound scan."""
    data = np.zeros((9, 9, 9), np.float32)
    data[2:7, 2:7, 2:7] = 0.1 + 0.9 * rng.random((5, 5, 5))
    nib.save(nib.Nifti1Image(data, np.diag([20.0, 20, 20, 1])), folder / "in.nii")
    write_weights(folder)
    KMeansModel((0.2, 0.5, 0.8), 100, 1).save(folder / "kmeans.json")
    given = ["--source", str(folder / "in.nii"), "--out", str(folder / "out.nii")]
    if rng.random() < 0.4:
        victim = folder / "kmeans.json"
        arguments = ["segment", "--model", str(victim), "--translated", *given]
    else:
        victim = folder / rng.choice(["config.json", "weights.safetensors"])
        weights = str(folder / "weights.safetensors")
        arguments = ["translate", "--weights", weights, "--mask", str(folder / "in.nii"), *given]
    if victim.suffix == ".json" and rng.random() < 0.7:
        victim.write_text(json.dumps(spoil_tree(rng, json.loads(victim.read_text()))))
    elif victim.suffix == ".json" or rng.random() < 0.6:
        content = victim.read_bytes()
        victim.write_bytes(content[: rng.integers(len(content))] + rng.bytes(rng.integers(3)))
    else:
        shape = tuple(int(n) for n in rng.integers(0, 5, rng.integers(3)))
        value = torch.full(shape, float(rng.choice(NUMBERS)))
        good = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(0.6)}
        save_file({**good, str(rng.choice([*good, "x"])): value}, victim)
    status, said = captured(arguments)
    command = Command(arguments, victim, folder / "out.nii")
    assert "Traceback" not in said, said
    if status:
        assert_one_line(said.replace("weights.safetensors", victim.name), command)
        assert not command.out.exists()
        return "refused"
    result = np.asarray(nib.load(command.out).dataobj)
    assert np.isfinite(result).all()
    assert result.any(), "nothing in the result"
    return "done"


KINDS: dict[str, Callable[[np.random.Generator, Path], str]] = {
    kind.__name__: kind for kind in (images, sheets, splits, bids, configs, checkpoints)
}


def run_cases(kind: str, seeds: range, folder: Path) -> dict[str, int]:
    """Draw and judge cases; how many ended well and how many were refused.

    Raises:
        AssertionError: the first cases that ended otherwise, with kind and seed.
    """
    counts, findings = {"done": 0, "refused": 0}, []
    for seed in seeds:
        place = folder / f"{kind}-{seed}"
        place.mkdir(parents=True)
        try:
            counts[KINDS[kind](np.random.default_rng([seed, *kind.encode()]), place)] += 1
        except Exception as error:  # whatever escapes is what is looked for
            findings.append(f"{kind} {seed}: {type(error).__name__}: {error}"[:600])
    assert not findings, f"{len(findings)} findings\n" + "\n".join(findings[:12])
    return counts

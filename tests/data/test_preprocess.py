"""Preprocessing: where things lie, what they become, and what the mistakes say."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations
from nibabel.processing import resample_from_to
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.preprocess import (
    Grid,
    PreprocessedSubject,
    brain_mask,
    normalise,
    preprocess_subject,
    write_preprocessed,
)
from lmidiff.data.sheet import read_sheet
from lmidiff.data.volumes import Volume, read_volume

REPO = Path(__file__).parents[2]
SHARED = REPO.parent / "shared" / "data"

SHAPE = (60, 70, 40)
AFFINE = np.array([[1.0, 0, 0, -31], [0, 1.2, 0, -50], [0, 0, 2.0, -25], [0, 0, 0, 1]])
GRID = Grid(image_size=40, pixel_size=2.5, slices=6)


def ellipsoid(shape: tuple[int, ...] = SHAPE, scale: float = 0.8) -> np.ndarray:
    """A mask off the centre of the volume, and not symmetric in any axis."""
    half = np.array(shape) / 2
    points = np.stack(np.indices(shape), axis=-1) - half - (2, -3, 1)
    return (((points / (half * scale)) ** 2).sum(-1) < 1) & ~((points > (5, 8, 2)).all(-1))


def smooth_image(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(mask.shape)
    field = ndimage.gaussian_filter(noise, 4)
    return (2 + field / field.std()).clip(0.2).astype(np.float32) * mask


def volumes(affine: np.ndarray = AFFINE) -> tuple[dict[str, Volume], Volume, Volume]:
    mask = ellipsoid()
    images = {
        name: Volume(100 * smooth_image(mask, seed), affine, f"{name}.nii.gz")
        for seed, name in enumerate(("PDw", "T1w"))
    }
    labels = np.where(mask, 1 + (images["T1w"].data > 180) + (images["T1w"].data > 230), 0)
    return (
        images,
        Volume(labels.astype(np.float32), affine, "labels.nii.gz"),
        Volume(mask.astype(np.float32), affine, "mask.nii.gz"),
    )


def same(one: PreprocessedSubject, two: PreprocessedSubject) -> None:
    np.testing.assert_array_equal(one.mask, two.mask)
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-4)
    for name, image in one.images.items():
        np.testing.assert_array_equal(image, two.images[name])


def test_shapes_types_and_ranges() -> None:
    images, labels, mask = volumes()
    out = preprocess_subject(images, labels, mask, GRID)
    assert list(out.images) == ["PDw", "T1w"]
    assert out.mask.dtype == bool
    assert out.labels.dtype == np.uint8
    for image in out.images.values():
        assert image.shape == out.mask.shape == out.labels.shape == (40, 40, 6)
        assert image.dtype == np.float32
        assert image.min() == 0
        assert image.max() == 1
        assert not image[~out.mask].any()
        assert 0.001 < (image[out.mask] == 1).mean() < 0.02
    assert not out.labels[~out.mask].any()
    np.testing.assert_allclose(np.linalg.norm(out.affine[:3, :2], axis=0), 2.5)


def test_without_labels_and_mask() -> None:
    images, _, mask = volumes()
    out = preprocess_subject(images, None, None, GRID)
    assert out.labels is None
    np.testing.assert_array_equal(out.mask, preprocess_subject(images, None, mask, GRID).mask)


def test_slices_and_centre_lie_where_the_rule_says() -> None:
    images, _, mask = volumes()
    out = preprocess_subject(images, None, mask, GRID)
    area = mask.data.sum(axis=(0, 1))
    heights = np.flatnonzero(area >= 0.1 * area.max())
    expected = AFFINE[2, 3] + 2 * (heights[0] + np.array([0.4, 0.8]) * np.ptp(heights))
    found = (out.affine @ [[0, 0], [0, 0], [0, 5], [1, 1]])[2]
    np.testing.assert_allclose(found, expected)
    for axis in (0, 1):
        rows = np.flatnonzero(out.mask.any(axis=(1 - axis, 2)))
        assert abs(rows[0] - (39 - rows[-1])) <= 1, "the brain is not centred"


@pytest.mark.parametrize(("every", "kept"), [(2, [0, 2, 4]), (3, [1, 4]), (4, [1, 5]), (6, [2])])
def test_the_middle_one_of_every_so_many_slices(every: int, kept: list[int]) -> None:
    images, labels, mask = volumes()
    whole = preprocess_subject(images, labels, mask, GRID, lesions=mask)
    some = preprocess_subject(images, labels, mask, GRID, lesions=mask, every=every)
    for name, image in some.images.items():
        np.testing.assert_array_equal(image, whole.images[name][:, :, kept])
    np.testing.assert_array_equal(some.mask, whole.mask[:, :, kept])
    np.testing.assert_array_equal(some.labels, whole.labels[:, :, kept])
    np.testing.assert_array_equal(some.lesions, whole.lesions[:, :, kept])
    for number, old in enumerate(kept):
        np.testing.assert_allclose(some.affine @ [3, 4, number, 1], whole.affine @ [3, 4, old, 1])


def test_of_too_many_slices_none_is_kept() -> None:
    images, labels, mask = volumes()
    with pytest.raises(StudyError, match=r"data\.test_every is 13, and the grid has 6 slices"):
        preprocess_subject(images, labels, mask, GRID, every=13)


def test_one_slice_lies_midway_and_a_tail_moves_nothing() -> None:
    images, _, mask = volumes()
    several = preprocess_subject(images, None, mask, Grid(40, 2.5, 3))
    tailed = Volume(mask.data.copy(), AFFINE)
    tailed.data[30:33, 34:36, 0:10] = 1  # a spinal cord
    single = preprocess_subject(images, None, tailed, Grid(40, 2.5, 1))
    np.testing.assert_allclose(single.affine[:, 3], several.affine @ [0, 0, 1, 1])
    np.testing.assert_array_equal(single.mask[:, :, 0], several.mask[:, :, 1])


@pytest.mark.parametrize("codes", ["LAS", "LIA", "PSR"])
def test_orientation_on_disk_does_not_matter(tmp_path: Path, codes: str) -> None:
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(codes)
    )

    def reread(volume: Volume, name: str, turned: bool) -> Volume:
        image = nib.Nifti1Image(volume.data, volume.affine)
        path = tmp_path / f"{name}.nii"
        nib.save(image.as_reoriented(turn) if turned else image, path)
        return read_volume(path)

    def run(turned: bool) -> PreprocessedSubject:
        images, labels, mask = volumes()
        return preprocess_subject(
            {name: reread(volume, name, turned) for name, volume in images.items()},
            reread(labels, "labels", turned),
            reread(mask, "mask", turned),
            GRID,
        )

    same(run(turned=False), run(turned=True))


@pytest.mark.parametrize("pixel_size", [0.8, 1.0, 1.7, 2.5])
@pytest.mark.parametrize("oblique", [False, True])
def test_a_blob_stays_where_it_is_in_the_world(pixel_size: float, oblique: bool) -> None:
    affine = AFFINE.copy()
    if oblique:
        affine[:3, :3] = nib.eulerangles.euler2mat(0.2, -0.1, 0.15) @ affine[:3, :3]
    voxel = np.array([24.0, 41.0, 23.5])
    distance = (np.stack(np.indices(SHAPE), -1) - voxel) * (1.0, 1.2, 2.0)
    blob = np.exp(-(distance**2).sum(-1) / (2 * 4.0**2)).astype(np.float32)
    mask = Volume(ellipsoid().astype(np.float32), affine)
    grid = Grid(int(np.ceil(90 / pixel_size)), pixel_size, 24, (0.1, 0.95))
    out = preprocess_subject({"T1w": Volume(blob, affine)}, None, mask, grid, percentile=100)
    image = out.images["T1w"]
    centre = [(image * axis).sum() / image.sum() for axis in np.indices(image.shape)]
    found = (out.affine @ [*centre, 1])[:3]
    np.testing.assert_allclose(found, (affine @ [*voxel, 1])[:3], atol=0.1)


def sheared(affine: np.ndarray) -> np.ndarray:
    skew = np.eye(4)
    skew[0, 1] = 0.1
    return skew @ affine


@pytest.mark.parametrize("change", [np.copy, sheared], ids=["straight", "sheared"])
@pytest.mark.parametrize("pixel_size", [0.9, 2.5])
def test_resampling_agrees_with_nibabel(change: Callable, pixel_size: float) -> None:
    """Against an oracle that knows only the two affines, and is given the blur as fact."""
    affine = change(AFFINE)
    mask = np.ones(SHAPE, np.float32)
    image = smooth_image(np.ones(SHAPE, bool))
    mask[[0, -1]] = 0
    grid = Grid(int(np.ceil(86 / pixel_size)), pixel_size, 7)
    out = preprocess_subject(
        {"T1w": Volume(image, affine)}, None, Volume(mask, affine), grid, percentile=100
    )
    ratio = pixel_size / np.linalg.norm(affine[:3, :2], axis=0)
    sigma = 0.5 * np.sqrt(np.maximum(ratio**2 - 1, 0))
    blurred = ndimage.gaussian_filter(image, (*sigma, 0), mode="nearest")
    target = (out.mask.shape, out.affine)
    oracle = resample_from_to(nib.Nifti1Image(blurred, affine), target, order=1).get_fdata()
    oracle /= oracle[out.mask].max()
    assert out.mask.sum() > 0.5 * 59 * 70 * 1.2 / pixel_size**2 * 7
    inner = ndimage.binary_erosion(out.mask, np.ones((3, 3, 1)))
    np.testing.assert_allclose(out.images["T1w"][inner], oracle[inner], atol=2e-3)


@pytest.mark.parametrize("size", [64, 65])
def test_pixels_of_the_voxel_size_are_cropped_not_interpolated(size: int) -> None:
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    mask = ellipsoid()
    image = Volume(np.random.default_rng(1).random(SHAPE, np.float32) + 0.5, affine)
    area = mask.sum((0, 1))
    grid = Grid(size, 1.5, int((area >= 0.1 * area.max()).sum()), (0, 1))
    out = preprocess_subject({"T1w": image}, None, Volume(mask * 1.0, affine), grid, percentile=100)
    x, y, z = np.linalg.solve(affine, out.affine[:, 3])[:3].round(9).tolist()
    assert (x % 1, y % 1, z % 1) == (0, 0, 0)
    window = tuple(slice(int(at) + 20, int(at) + 20 + size) for at in (x, y))
    heights = slice(int(z), int(z) + grid.slices)
    margin = ((20, 20), (20, 20), (0, 0))
    expected = np.pad(image.data * mask, margin)[*window, heights]
    np.testing.assert_array_equal(out.mask, np.pad(mask, margin)[*window, heights])
    np.testing.assert_array_equal(out.images["T1w"], expected / expected.max())


@pytest.mark.parametrize("present", [(1,), (1, 3), (1, 2, 3)])
@pytest.mark.parametrize("pixel_size", [0.8, 2.5])
def test_labels_are_never_invented(present: tuple[int, ...], pixel_size: float) -> None:
    images, _, mask = volumes()
    drawn = np.random.default_rng(5).choice((0, *present), SHAPE)
    labels = Volume(drawn.astype(np.float32), AFFINE)
    grid = Grid(int(np.ceil(90 / pixel_size)), pixel_size, 6)
    out = preprocess_subject(images, labels, mask, grid)
    assert set(np.unique(out.labels)) <= {0, *present}


def test_a_label_takes_the_pixels_it_fills() -> None:
    images, _, mask = volumes()
    halves = np.where(np.indices(SHAPE)[0] < 30, 1, 3).astype(np.float32)
    out = preprocess_subject(images, Volume(halves, AFFINE), mask, GRID)
    x = out.affine[0, 3] + out.affine[0, 0] * np.indices(out.mask.shape)[0]
    border = AFFINE[0, 3] + 29.5
    np.testing.assert_array_equal(out.labels[out.mask], np.where(x < border, 1, 3)[out.mask])


def test_lesions_go_where_the_image_goes_and_stay_in_the_brain(tmp_path: Path) -> None:
    images, labels, mask = volumes()
    marked = np.zeros(SHAPE, np.float32)
    marked[20:34, 20:34] = 1
    bright = {"PDw": Volume(100 * mask.data + 400 * marked * mask.data, AFFINE, "PDw.nii.gz")}
    lesions = Volume(marked, AFFINE, "lesions.nii.gz")
    out = preprocess_subject(bright, labels, mask, GRID, lesions=lesions)
    assert 0 < out.lesions.sum() < out.mask.sum()
    assert not (out.lesions & ~out.mask).any()
    inside = out.images["PDw"] > 0.6
    assert (inside & out.lesions).sum() / (inside | out.lesions).sum() > 0.9
    assert preprocess_subject(images, labels, mask, GRID).lesions is None
    names = [path.name for path in write_preprocessed(out, tmp_path, "sub-1")]
    assert names[-1] == "sub-1_desc-lesion_mask.nii.gz"
    elsewhere = Volume(marked, AFFINE @ np.diag([1, 1, 2, 1]), "lesions.nii.gz")
    with pytest.raises(StudyError, match=r"lesions\.nii\.gz"):
        preprocess_subject(bright, labels, mask, GRID, lesions=elsewhere)


def test_on_grid_volumes_are_left_where_they_are() -> None:
    shape, affine = (32, 32, 5), np.diag([3.0005, 3.0, 7.6, 1.0])
    mask = ellipsoid(shape)
    image = np.random.default_rng(2).random(shape, np.float32) * mask
    labels = (mask * 2).astype(np.float32)
    out = preprocess_subject(
        {"PDw": Volume(image, affine)}, Volume(labels, affine), None, Grid(32, 3.0, 5)
    )
    np.testing.assert_array_equal(out.affine, affine)
    np.testing.assert_array_equal(out.images["PDw"], normalise(image, out.mask))
    np.testing.assert_array_equal(out.labels, labels * out.mask)


def test_preprocessing_twice_is_preprocessing_once(tmp_path: Path) -> None:
    images, labels, mask = volumes()
    once = preprocess_subject(images, labels, mask, GRID)
    paths = write_preprocessed(once, tmp_path, "sub-01")
    assert [path.name for path in paths] == [
        "sub-01_PDw.nii.gz",
        "sub-01_T1w.nii.gz",
        "sub-01_desc-brain_mask.nii.gz",
        "sub-01_dseg.nii.gz",
    ]
    pd, t1, brain, tissues = map(read_volume, paths)
    same(once, preprocess_subject({"PDw": pd, "T1w": t1}, tissues, brain, GRID))
    same(once, preprocess_subject({"PDw": pd, "T1w": t1}, tissues, None, GRID))
    assert nib.load(paths[2]).get_data_dtype() == nib.load(paths[3]).get_data_dtype() == np.uint8


@settings(max_examples=60, deadline=None)
@given(
    scale=st.floats(1e-3, 1e5),
    percentile=st.floats(50, 100),
    seed=st.integers(0, 2**31),
)
def test_normalising_ignores_scale_and_repeats(scale: float, percentile: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.gamma(2.0, 50, (6, 7, 5)).astype(np.float32)
    mask = rng.random(data.shape) < 0.7
    once = normalise(data, mask, percentile)
    np.testing.assert_allclose(
        normalise(data * np.float32(scale), mask, percentile), once, rtol=1e-5
    )
    np.testing.assert_array_equal(normalise(once, mask, percentile), once)
    assert once.max() == 1
    assert not once[~mask].any()


def test_brain_mask_keeps_the_largest_piece_and_fills_it() -> None:
    brain = ellipsoid()
    data = brain * np.float32(5)
    data[28:32, 30:34, 18:22] = 0
    data[1:4, 1:4, 1:4] = 9
    np.testing.assert_array_equal(brain_mask(Volume(data, AFFINE)), brain)


def message_of(act: Callable[[], object]) -> str:
    with pytest.raises(StudyError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_mistakes_name_the_file() -> None:
    images, labels, mask = volumes()
    moved = AFFINE + np.array([[0, 0, 0, 5.0]] + [[0.0] * 4] * 3)
    full = Volume(smooth_image(np.ones(SHAPE, bool)), AFFINE, "skull.nii.gz")
    flat = np.zeros(SHAPE, np.float32)
    flat[10:50, 10:60, 20] = 1
    corner = np.zeros(SHAPE, np.float32)
    corner[:2, :2] = 1
    ends = np.zeros(SHAPE, np.float32)
    ends[10:50, 10:60, [1, 38]] = 1
    for arguments, says in (
        (({**images, "T1w": Volume(labels.data, moved, "T1.nii")}, None, mask), "T1.nii is not on"),
        ((images, Volume(labels.data, moved, "seg.nii"), mask), "seg.nii is not on the grid of PD"),
        ((images, labels, Volume(mask.data[1:], AFFINE, "m.nii")), "m.nii is not on the grid"),
        ((images, Volume(labels.data * 7, AFFINE, "seg.nii"), mask), "seg.nii: holds label 7;"),
        (
            (images, labels, Volume(mask.data * 0, AFFINE, "m.nii")),
            "m.nii: the mask selects nothing",
        ),
        (({"PDw": full}, None, None), "skull.nii.gz: the background is not zero"),
        (
            (images, None, Volume(ends, AFFINE, "m.nii")),
            "m.nii: the brain mask is empty in the sl",
        ),
        ((images, None, Volume(flat, AFFINE, "m.nii")), "m.nii: the brain is one voxel high"),
        (
            ({**images, "T1w": Volume(corner, AFFINE, "T1.nii")}, None, mask),
            "T1.nii: the 99.5th percentile of the brain is zero",
        ),
    ):
        assert says in message_of(lambda arguments=arguments: preprocess_subject(*arguments, GRID))
    text = message_of(lambda: preprocess_subject(images, None, mask, Grid(20, 2.0, 6)))
    assert text.startswith("mask.nii.gz: the brain is 4")
    assert "field of view 40 mm" in text
    for percentile in (0, -1, 101, float("nan")):
        assert "percentile" in message_of(
            lambda p=percentile: preprocess_subject(images, None, mask, GRID, percentile=p)
        )


def test_empty_mask_on_the_grid_is_reported_too() -> None:
    image = Volume(ellipsoid((16, 16, 3)) * np.float32(2), np.diag([3.0, 3, 3, 1]), "PD.nii")
    empty = Volume(image.data * 0, image.affine, "m.nii")
    text = message_of(lambda: preprocess_subject({"PDw": image}, None, empty, Grid(16, 3.0, 3)))
    assert text.startswith("m.nii: the mask selects nothing")


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": 0},
        {"pixel_size": 0},
        {"pixel_size": float("nan")},
        {"slices": 0},
        {"extent": (0.8, 0.4)},
        {"extent": (0.4, 1.1)},
        {"extent": (-0.1, 0.4)},
    ],
)
def test_impossible_grids(values: dict) -> None:
    assert message_of(
        lambda: Grid(**({"image_size": 64, "pixel_size": 3.0, "slices": 4} | values))
    ).startswith("grid: ")


def test_sri24_template() -> None:
    if not (SHARED / "sri24").is_dir():
        pytest.skip(f"the SRI24 images are not at {SHARED / 'sri24'}")
    sheet = read_sheet(REPO / "config" / "sri24.tsv", [SHARED])
    images = {
        row.modality: read_volume(row.path, subject=row.subject, role=row.modality)
        for row in sheet.itertuples()
        if row.modality != "T2w"
    }
    labels = read_volume(sheet["labels"][0], role="labels")
    out = preprocess_subject(images, labels, None, Grid(64, 3.0, 6))
    assert set(np.unique(out.labels)) == {0, 1, 2, 3}
    assert (out.mask != (out.labels > 0)).mean() < 0.01
    pd, t1 = (
        [out.images[m][out.labels == tissue].mean() for tissue in (1, 2, 3)] for m in ("PDw", "T1w")
    )
    assert t1[0] < t1[1] < t1[2], "T1w: fluid dark, white matter bright"
    assert pd[2] < min(pd[:2]), "PDw: white matter darkest"
    # Ventricles: fluid that lies well inside must be found at its place in the original file.
    inside = np.argwhere(
        (out.labels == 1) & ndimage.binary_erosion(out.mask, np.ones((3, 3, 1)), 8)
    )
    world = (out.affine @ np.c_[inside, np.ones(len(inside))].T)[:3]
    source = nib.load(sheet["labels"][0])
    index = np.linalg.solve(source.affine, np.r_[world, np.ones((1, len(inside)))])[:3].round()
    assert len(inside) > 50
    assert (np.asarray(source.dataobj)[..., 0][tuple(index.astype(int))] == 1).mean() > 0.85

"""Whole heads: what is simulated around the brain, what of a scan is head, what stays."""

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from ball_heads import MIDDLE, RADII, ball_head
from lmidiff.common.errors import StudyError
from lmidiff.data.anatomy import Anatomy, icbm_anatomy, label_map_anatomy
from lmidiff.data.foreground import DARKEST, head_mask
from lmidiff.data.grid import Grid
from lmidiff.data.preprocess import PreprocessedSubject, preprocess_subject
from lmidiff.data.simulate import SimulatedSubject, SimulationSettings, simulate_subject
from lmidiff.data.volumes import Volume
from lmidiff.images.rim import LEAST

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "anatomies"
GRID = Grid(image_size=48, pixel_size=4.0, slices=5, extent=(0.3, 0.7))
COARSE = Grid(image_size=32, pixel_size=6.0, slices=3)
#: Those of config/config.yaml.
SETTINGS = SimulationSettings(
    snr=120,
    bias=0.03,
    texture=0.07,
    texture_size=5,
    common_texture=0.2,
    own_texture=0.025,
    structures=1.0,
    protocol_spread=0.05,
    misalignment=0.5,
    lesions=3,
)
PLAIN = SimulationSettings(tissue_spread=0, texture=0, own_texture=0, bias=0, gain_spread=0, snr=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "head.nii.gz"
    nib.save(ball_head(), path)
    return path


@pytest.fixture(scope="module")
def anatomy(path: Path) -> Anatomy:
    return label_map_anatomy(path, GRID, "head")


def radius_of(anatomy: Anatomy) -> np.ndarray:
    index = np.indices(anatomy.fractions.shape[1:]).reshape(3, -1).T
    places = nib.affines.apply_affine(anatomy.affine, index)
    return np.linalg.norm(places - MIDDLE, axis=1).reshape(anatomy.fractions.shape[1:])


def preprocessed(person: SimulatedSubject, grid: Grid, field: str = "brain") -> PreprocessedSubject:
    volumes = {m: Volume(image, person.affine, f"{m}.nii") for m, image in person.images.items()}
    labels, mask = (
        Volume(x.astype(np.float32), person.affine) for x in (person.labels, person.mask)
    )
    return preprocess_subject(volumes, labels, mask, grid, field=field)


# -- what the brain was before there were heads


@pytest.mark.parametrize(
    ("kind", "levels", "moments"),
    [
        (
            "template",
            "27d6e7a649c9b9a06408abb64e4b7b4ddc40955c170c783a97617c5a9d2f5068",
            (0.3522614227355613, 0.3896171523478248),
        ),
        (
            "label map",
            "5d2db411e9d24a920b6ebec924f435200d701edcb924a297e06422cf5b985ab6",
            (0.2371347981582703, 0.3537146795499371),
        ),
    ],
)
def test_the_brain_alone_is_what_it_was_before(kind, levels, moments, tmp_path):
    # Written down with the code that knew no heads. Of 50 grey levels, not of all bits, because the
    # last bits of an exponential depend on the processor.
    if kind == "template":
        anatomy, name = icbm_anatomy(COARSE, 1, "sub-01"), "sub-01"
    else:
        nib.save(ball_head(ventricle=15), tmp_path / "head.nii.gz")
        anatomy, name = label_map_anatomy(tmp_path / "head.nii.gz", COARSE), "sub-02"
    person = simulate_subject(anatomy, ["PDw", "T1w"], 1, name, settings=SETTINGS)
    ready = preprocessed(person, COARSE)
    pdw = ready.images["PDw"].astype(float)
    assert (pdw.mean(), pdw.std()) == pytest.approx(moments, rel=1e-6)
    coarse = [np.rint(50 * ready.images[m]).astype(np.uint8) for m in ("PDw", "T1w")]
    stored = [*coarse, ready.mask.astype(np.uint8), ready.labels]
    assert hashlib.sha256(b"".join(x.tobytes() for x in stored)).hexdigest() == levels


# -- what is simulated


def test_shares_of_the_head_are_where_the_balls_are(anatomy, path):
    radius, depth = radius_of(anatomy), 5.0  # off a border by more than a voxel
    brain, (csf, skin, _, bone, *rest) = anatomy.fractions.sum(axis=0), anatomy.head
    for share, inner, outer in (
        (brain, 0, RADII["grey"]),
        (csf, RADII["grey"] + 3, RADII["csf"]),  # the mask keeps 3 mm of it
        (bone, RADII["csf"], RADII["bone"]),
        (skin, RADII["bone"], RADII["scalp"]),
    ):
        middle = np.abs(radius - (inner + outer) / 2) < 0.5
        assert share[middle].mean() > 0.9
        assert share[(radius < inner - depth) | (radius > outer + depth)].max(initial=0) < 1e-6
    assert max(each.max() for each in rest) == 0
    total = brain + anatomy.head.sum(axis=0)
    assert total.max() < 1 + 1e-5
    assert total[radius < RADII["scalp"] - depth].min() > 1 - 1e-5
    assert total[radius > RADII["scalp"] + depth].max() == 0
    alone = label_map_anatomy(path, GRID)
    assert alone.head is None
    assert alone.fractions.tobytes() == anatomy.fractions.tobytes()
    assert alone.affine.tobytes() == anatomy.affine.tobytes()


@pytest.mark.parametrize("orientation", ["LIA", "PSR"])
def test_a_whole_head_in_any_orientation(anatomy, tmp_path, orientation):
    image = ball_head()
    ends = nib.orientations.axcodes2ornt(orientation)
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), ends)
    nib.save(image.as_reoriented(turn), tmp_path / "turned.nii.gz")
    turned = label_map_anatomy(tmp_path / "turned.nii.gz", GRID, "head")
    np.testing.assert_allclose(turned.head, anatomy.head, atol=1e-4)


def test_a_head_changes_nothing_in_the_brain(anatomy, path):
    still = SimulationSettings(**{**vars(SETTINGS), "misalignment": 0.0, "snr": 1000.0})
    alone, whole = (
        simulate_subject(each, ["T1w", "PDw"], 1, "a", settings=still)
        for each in (label_map_anatomy(path, GRID), anatomy)
    )
    np.testing.assert_array_equal(alone.mask, whole.mask)
    np.testing.assert_array_equal(alone.labels, whole.labels)
    inner = anatomy.fractions.sum(axis=0) > 1 - 1e-5
    assert inner.sum() > 2000
    for modality in ("T1w", "PDw"):
        noise = whole.images[modality][inner].mean() / 1000
        apart = np.abs(alone.images[modality] - whole.images[modality])[inner]
        assert apart.max() < noise, "not even the noise is another, but for its level"


def test_tissues_of_the_head_by_their_signal_equations(anatomy):
    quiet = SimulationSettings(**{**vars(PLAIN), "snr": 1000.0})
    images = simulate_subject(anatomy, ["T1w", "PDw"], 1, settings=quiet).images
    pure = {"skin": anatomy.head[1] > 0.999, "bone": anatomy.head[3] > 0.999}
    white = anatomy.fractions[2] > 0.999
    # Spin echo of TR 8178 and TE 8 ms; the parameters are those of the table in whole_head.
    echo = {
        "skin": 0.80 * (1 - np.exp(-8178 / 350)) * np.exp(-8 / 45),
        "bone": 0.15 * (1 - np.exp(-8178 / 300)) * np.exp(-8 / 10),
    }
    reference = 0.77 * (1 - np.exp(-8178 / 500)) * np.exp(-8 / 70)
    for name, where in pure.items():
        assert where.sum() > 30
        ratio = images["PDw"][where].mean() / images["PDw"][white].mean()
        assert ratio == pytest.approx(echo[name] / reference, rel=0.02)
    shown = [images["T1w"][where].mean() for where in (pure["bone"], white, pure["skin"])]
    assert shown == sorted(shown), "fat is brightest in T1w, bone darkest"


def test_air_is_the_noise_of_the_scanner(anatomy):
    image = simulate_subject(anatomy, ["PDw"], 1, settings=PLAIN).images["PDw"]
    total = anatomy.fractions.sum(axis=0)
    air = image[total + anatomy.head.sum(axis=0) == 0]
    assert air.size > 2000
    sigma = image[total >= 0.5].mean() / PLAIN.snr
    assert stats.kstest(air, stats.rayleigh(scale=sigma).cdf).pvalue > 0.01


def test_a_label_map_without_a_head_is_refused(tmp_path):
    nib.save(ball_head(without=("scalp", "bone")), tmp_path / "bare.nii.gz")
    with pytest.raises(StudyError, match=r"bare.nii.gz: has no head around the brain") as caught:
        label_map_anatomy(tmp_path / "bare.nii.gz", GRID, "head")
    assert "\n" not in str(caught.value)
    assert label_map_anatomy(tmp_path / "bare.nii.gz", GRID).head is None


# -- what of a scan is head


@pytest.fixture(scope="module")
def scanned(anatomy: Anatomy) -> SimulatedSubject:
    return simulate_subject(anatomy, ["PDw", "T1w"], 1, "a", settings=SETTINGS)


def test_the_head_is_all_within_the_skin(anatomy, scanned):
    head = head_mask(scanned.images.values(), scanned.mask, GRID.pixel_size, "a")
    within = radius_of(anatomy) < RADII["scalp"]
    overlap = 2 * (head & within).sum() / (head.sum() + within.sum())
    assert overlap > 0.97
    bone = anatomy.head[3] > 0.9
    assert head[bone].all(), "dark, and yet within the skin"
    assert scanned.images["PDw"][bone].max() < 0.5 * scanned.images["PDw"][scanned.mask].min()


def test_what_every_scan_shows_is_head(scanned):
    cut = {name: image.copy() for name, image in scanned.images.items()}
    cut["T1w"][:8] = 0  # its field of view ends there
    head = head_mask(cut.values(), scanned.mask, GRID.pixel_size, "a")
    whole = head_mask(scanned.images.values(), scanned.mask, GRID.pixel_size, "a")
    np.testing.assert_array_equal(head[12:], whole[12:])
    assert whole[:8].any()
    assert not (head & ~scanned.mask)[:7].any()


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-3, 1e4), ghosts=st.floats(0, 0.08))
def test_neither_scale_nor_ghosts_move_the_skin(factor, ghosts):
    radius = np.hypot(*(np.indices((48, 48)) - 23.5))[..., None]
    image = np.where(radius < 20, 1.0, 0.0) - 0.95 * ((radius > 14) & (radius < 17))
    brain = radius < 14
    ghost = ghosts * np.roll(image, 24, axis=0)
    head = head_mask([factor * (image + ghost)], brain, 4.0, "a")
    assert np.abs(np.flatnonzero(head[:, 24, 0])[[0, -1]] - (3.5, 43.5)).max() <= 1
    assert not ndimage.binary_fill_holes(head[..., 0]).sum() > head.sum()


def test_slices_without_brain_and_single_pixels(scanned):
    brain = scanned.mask.copy()
    brain[..., 0] = False
    image = scanned.images["PDw"].copy()
    image[2, 2] = 5000  # a spike far off is no head
    head = head_mask([image], brain, GRID.pixel_size, "a")
    whole = head_mask([scanned.images["PDw"]], scanned.mask, GRID.pixel_size, "a")
    np.testing.assert_array_equal(head, whole)


def test_volumes_of_the_field(scanned):
    assert DARKEST == LEAST, "what methods take for no air"
    brain, head = (preprocessed(scanned, GRID, field) for field in ("brain", "head"))
    np.testing.assert_array_equal(brain.mask, head.mask)
    np.testing.assert_array_equal(brain.labels, head.labels)
    shown = head_mask(scanned.images.values(), scanned.mask, GRID.pixel_size, "a")
    for modality, raw in scanned.images.items():
        image = head.images[modality]
        np.testing.assert_array_equal(image > 0, shown)
        top = np.sort(raw[shown])[int(0.995 * (shown.sum() - 1))]
        np.testing.assert_allclose(image[shown], np.clip(raw[shown] / top, DARKEST, 1), rtol=1e-6)
        assert (brain.images[modality][~brain.mask] == 0).all()
        # The same scan, on two scales.
        pair = brain.images[modality][brain.mask], image[brain.mask]
        free = (pair[0] < 1) & (pair[1] < 1)
        ratio = pair[0][free] / pair[1][free]
        assert ratio.std() < 1e-5 * ratio.mean()


def test_scans_without_a_head_or_a_mask_are_refused(scanned):
    stripped = {m: Volume(x * scanned.mask, scanned.affine, m) for m, x in scanned.images.items()}
    mask = Volume(scanned.mask.astype(np.float32), scanned.affine, "mask")
    for given_mask, says in (
        (mask, "PDw: shows no head around the brain, and data.field is head"),
        (None, "PDw: no brain mask, and data.field is head; name one in the sheet's mask column"),
    ):
        with pytest.raises(StudyError) as caught:
            preprocess_subject(stripped, None, given_mask, GRID, field="head")
        assert str(caught.value).startswith(says)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["03", "14"])
def test_a_real_head(number):
    path = REAL / f"training_seg_{number}.nii.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    grid = Grid(pixel_size=3.5)
    anatomy = label_map_anatomy(path, grid, "head")
    total = anatomy.fractions.sum(axis=0) + anatomy.head.sum(axis=0)
    assert total.max() < 1 + 1e-4
    person = simulate_subject(anatomy, ["PDw", "T1w"], 1, number, settings=SETTINGS)
    head = preprocessed(person, grid, "head").images["T1w"] > 0
    within = np.stack(
        [ndimage.binary_fill_holes(each) for each in np.moveaxis(total > 0.5, 2, 0)], 2
    )
    assert 2 * (head & within).sum() / (head.sum() + within.sum()) > 0.97
    assert 1.3 < head.sum() / person.mask.sum() < 2.2

"""Volumes in, volumes out; and settings chosen on validation subjects."""

import nibabel as nib
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from lmidiff.common.errors import StudyError
from lmidiff.images.contrast import ContrastSettings
from lmidiff.images.rim import inside_of
from lmidiff.methods import translation, tuning
from lmidiff.methods.base import Method, Translation
from lmidiff.methods.build import build_method
from lmidiff.methods.simple import Source
from method_cases import (
    AFFINE,
    CPU,
    IDS,
    SIZE,
    SOURCE,
    SUBJECTS,
    method,
    write,
)

# --- volumes in, volumes out ----------------------------------------------------------------


def translate(method_, volumes, folder, batch_size=4):
    translation.translate_volumes(
        method_, volumes, folder, target="T1w", batch_size=batch_size, device=CPU, what="test"
    )


class Fixed(Method):
    """Gives back a function of the source."""

    label = "fixed"

    def __init__(self, change, spread=None):
        self.change, self.spread, self.seen = change, spread, []

    def translate(self, source, ids):
        self.seen.append(ids)
        return Translation(self.change(source), self.spread and self.spread(source))


def test_volumes_keep_their_place_and_air(volumes, tmp_path):
    fixed = Fixed(lambda y: 1.3 - y, lambda y: y + 0.5)
    folder = tmp_path / "out"
    translate(fixed, volumes, folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(f"sub-0{i}_{x}T1w.nii.gz" for i in (1, 2, 3) for x in ("", "desc-std_"))
    for volume, rows in zip(volumes, SUBJECTS, strict=True):
        name = volume.name.replace("PDw", "T1w")
        source, image = nib.load(volume), nib.load(folder / name)
        spread = nib.load(folder / name.replace("_", "_desc-std_"))
        np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
        np.testing.assert_allclose(spread.affine, AFFINE, atol=1e-5)
        assert image.shape == source.shape == (SIZE, SIZE, len(rows))
        y = source.get_fdata()
        expected = np.where(y == 0, 0, np.clip(1.3 - y, 0, 1))
        np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-6)
        np.testing.assert_allclose(spread.get_fdata(), np.where(y == 0, 0, y + 0.5), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("batch_size", "batches"), [(1, [3, 1, 2]), (4, [4, 2]), (5, [4, 2]), (99, [6])]
)
def test_batches_are_whole_subjects(volumes, tmp_path, batch_size, batches):
    fixed = Fixed(lambda y: y)
    translate(fixed, volumes, tmp_path / "out", batch_size)
    assert [len(ids) for ids in fixed.seen] == batches
    assert [each for ids in fixed.seen for each in ids] == IDS


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_failed_translation_leaves_nothing(volumes, tmp_path, bad):
    folder = tmp_path / "out"

    def fail_on_the_last(y):
        return y if len(y) != 2 else torch.cat([y[:1], y[1:] * bad])

    with pytest.raises(StudyError, match="not finite") as raised:
        translate(Fixed(fail_on_the_last), volumes, folder)
    assert "sub-03, slice 1" in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volumes"]
    # An earlier result survives a later failure.
    translate(Fixed(lambda y: y), volumes, folder)
    before = sorted(path.read_bytes() for path in folder.iterdir())
    with pytest.raises(StudyError):
        translate(Fixed(fail_on_the_last), volumes, folder)
    assert sorted(path.read_bytes() for path in folder.iterdir()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "volumes"]


def test_translated_volumes_do_not_depend_on_the_batch_size(models, volumes, tmp_path):
    for size in (1, 99):
        translate(method(models, "lmidiffusion"), volumes, tmp_path / str(size), size)
    for path in (tmp_path / "1").iterdir():
        one, other = nib.load(path), nib.load(tmp_path / "99" / path.name)
        np.testing.assert_allclose(one.get_fdata(), other.get_fdata(), atol=1e-5)


# --- tuning ---------------------------------------------------------------------------------


def tuned(build, grid, targets, masks, contrast=ContrastSettings()):  # noqa: B008
    settings = {"seed": 1, "batch_size": 4, "device": CPU, "what": "test"}
    return tuning.tune(build, grid, targets, masks, contrast, **settings)


def test_tuning_picks_the_best_brain_ssim(volumes, tmp_path, monkeypatch):
    """Where the contrast that is shown is the target's own."""
    monkeypatch.setattr(tuning, "in_another_contrast", lambda stack, *_: stack)
    brain = torch.zeros_like(SOURCE)
    brain[..., 4:12, 5:11] = 1
    masks = [
        write(tmp_path / volume.name.replace("PDw", "mask"), brain[rows])
        for volume, rows in zip(volumes, SUBJECTS, strict=True)
    ]
    built = []

    def build(settings):
        built.append(dict(settings))
        return Fixed(lambda y: settings["scale"] * y + settings["offset"])

    grid = {"scale": [0.5, 1.0], "offset": [0.3, 0.0]}
    table, best = tuned(build, grid, volumes, masks)
    assert best == {"scale": 1.0, "offset": 0.0}
    assert built == [{"scale": s, "offset": o} for s in grid["scale"] for o in grid["offset"]]
    assert table[["scale", "offset"]].to_dict("records") == built
    # One row by scikit-image: the mean of the map over all brain pixels of all slices.
    values = []
    for image, inside in zip(SOURCE[:, 0], brain[:, 0], strict=True):
        shown = torch.where(image > 0, 0.5 * image + 0.3, 0)
        _, ssim = structural_similarity(
            image.double().numpy(),
            shown.double().numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        values += list(ssim[inside.numpy() > 0])
    assert table.brain_ssim[0] == pytest.approx(np.mean(values), abs=1e-6)


def test_tuning_shows_every_person_in_contrasts_of_their_own(volumes):
    seen = []
    build = lambda _: Fixed(lambda y: seen.append(y) or y)  # noqa: E731
    tuned(build, {"x": [1]}, volumes, volumes)
    assert len(seen) == tuning.CONTRASTS * len(volumes)
    flat = [
        torch.corrcoef(torch.stack([y.flatten(), t.flatten()]))[0, 1]
        for y, t in zip(seen, [SOURCE[rows] for rows in SUBJECTS] * tuning.CONTRASTS, strict=True)
    ]
    assert len({round(float(r), 4) for r in flat}) == len(flat)
    again = []
    tuned(
        lambda _: Fixed(lambda y: again.append(y) or y),
        {"x": [1]},
        volumes,
        volumes,
        ContrastSettings(),
    )
    assert all(torch.equal(a, b) for a, b in zip(seen, again, strict=True))


def test_all_slices_of_a_person_have_one_contrast(volumes):
    seen = []
    contrast = ContrastSettings(noise=0, texture=0, field=0, mixtures=0)
    tuned(
        lambda _: Fixed(lambda y: seen.append(y) or y),
        {"x": [1]},
        volumes[:1],
        volumes[:1],
        contrast,
    )
    inside = inside_of(SOURCE[SUBJECTS[0]] > 0)
    given, shown = SOURCE[SUBJECTS[0]][inside], seen[0][inside]
    order = given.argsort()
    assert (shown[order].diff().abs() < 0.1).all()  # one curve through the voxels of all slices


def test_tuning_takes_the_first_of_equals(volumes):
    table, best = tuned(lambda _: Fixed(lambda y: y), {"x": ["b", "a"]}, volumes, volumes)
    assert best == {"x": "b"}
    assert table.brain_ssim[0] == table.brain_ssim[1]


def test_build_needs_no_weights_for_a_method_without_a_model():
    block = {"name": "source", "family": None, "settings": {}}
    assert isinstance(build_method(block, {}, [], 1, CPU), Source)

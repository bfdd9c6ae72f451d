import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from skimage.metrics import structural_similarity
from sklearn.metrics import f1_score

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.metrics import dice, interior, mae, psnr, score_subject
from lmidiff.images.similarity import ssim_map


def image_like(shape=(32, 28), seed=0) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)
    return (noise - noise.min()) / np.ptp(noise)


def subject(noise=0.05, shape=(20, 18, 4)) -> dict:
    target = image_like(shape)
    generator = np.random.default_rng(1)
    mask = np.zeros(shape, dtype=bool)
    mask[3:-3, 4:-2, :3] = True
    labels = (1 + np.digitize(target, (0.4, 0.6))) * mask
    translated = np.clip(target + generator.normal(0, noise, shape), 0, 1)
    return {
        "translated": translated,
        "target": target,
        "mask": mask,
        "labels_translated": (1 + np.digitize(translated, (0.4, 0.6))) * mask,
        "labels_kmeans_truth": labels,
        "labels_truth": labels,
    }


def table(scores) -> dict:
    return {(s.slice, s.region, s.metric): s.value for s in scores}


def monai_ssim(a: np.ndarray, b: np.ndarray) -> float:
    import torch
    from monai.metrics.regression import SSIMMetric

    metric = SSIMMetric(2, data_range=1.0, kernel_type="gaussian", win_size=11, kernel_sigma=1.5)
    first, second = (torch.from_numpy(x)[None, None].double() for x in (a, b))
    return float(metric(first, second))


def test_ssim_is_skimage_and_monai_inside_the_border():
    a, b = image_like(seed=0), np.clip(image_like(seed=0) * 0.8 + image_like(seed=1) * 0.2, 0, 1)
    found = ssim_map(a, b)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    oracle = structural_similarity(a, b, data_range=1.0, full=True, **settings)
    assert np.allclose(found, oracle[1], atol=1e-12)
    # Both libraries' scalars leave out the 5 px where the window overhangs; the study keeps them.
    inner = found[5:-5, 5:-5].mean()
    assert inner == pytest.approx(oracle[0], abs=1e-12)
    assert inner == pytest.approx(monai_ssim(a, b), abs=1e-4)


def test_ssim_of_a_volume_is_that_of_its_slices():
    a, b = image_like((16, 14, 3)), image_like((16, 14, 3), seed=1)
    assert np.array_equal(ssim_map(a, b)[..., 1], ssim_map(a[..., 1], b[..., 1]))


def test_psnr_is_the_closed_form_and_monai():
    import torch
    from monai.metrics.regression import PSNRMetric

    a = image_like()
    assert psnr(a, a + 0.1) == pytest.approx(20.0, abs=1e-9)
    b = image_like(seed=2)
    first, second = (torch.from_numpy(x)[None, None] for x in (a, b))
    assert psnr(a, b) == pytest.approx(float(PSNRMetric(max_val=1.0)(first, second)), abs=1e-5)


def test_regions_look_at_their_pixels_only():
    a, b = image_like(), image_like()
    b[0, 0] += 0.5
    mask = np.ones(a.shape, dtype=bool)
    mask[0, 0] = False
    assert psnr(a, b, mask) == math.inf
    assert mae(a, b, mask) == 0
    assert mae(a, b) == pytest.approx(0.5 / a.size)
    assert mae(a, b, ~mask) == pytest.approx(0.5)
    assert math.isnan(psnr(a, b, np.zeros_like(mask)))
    assert math.isnan(mae(a, b, np.zeros_like(mask)))


def test_the_interior_is_what_the_methods_call_inside():
    import torch

    from lmidiff.images.rim import inside_of

    brain = np.random.default_rng(1).random((20, 18, 4)) > 0.08
    brain[..., 2] = False
    brain[..., 3] = False
    brain[9, 9, 3] = True  # a speck has no rim
    theirs = inside_of(torch.from_numpy(np.moveaxis(brain, 2, 0)[:, None].copy()))
    assert np.array_equal(interior(brain), np.moveaxis(theirs[:, 0].numpy(), 0, 2))
    a, b = image_like((20, 18, 4)), image_like((20, 18, 4), seed=1)
    labels = np.ones(brain.shape, np.uint8)
    found = table(score_subject(a, b, brain, labels, labels, subject="s"))
    assert found["all", "interior", "ssim"] == pytest.approx(ssim_map(a, b)[interior(brain)].mean())
    assert found["all", "interior", "mae"] == pytest.approx(mae(a, b, interior(brain)))


def test_dice_is_f1_and_monai():
    import torch
    from monai.metrics.meandice import compute_dice
    from monai.networks.utils import one_hot

    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 4, (2, 12, 12))
    f1 = f1_score(a.ravel(), b.ravel(), labels=[1, 2, 3], average=None)
    first, second = (one_hot(torch.from_numpy(x)[None, None], 4) for x in (a, b))
    oracle = compute_dice(first, second, include_background=False)[0]
    for label in (1, 2, 3):
        assert dice(a, b, label) == pytest.approx(f1[label - 1])
        assert dice(a, b, label) == pytest.approx(float(oracle[label - 1]), abs=1e-6)


def test_dice_of_a_tissue_that_neither_has_is_undefined():
    assert math.isnan(dice(np.zeros(4), np.zeros(4), 1))
    assert dice(np.zeros(4), np.ones(4), 1) == 0


@pytest.mark.parametrize("measure", [psnr, mae, lambda a, b: float(ssim_map(a, b).mean())])
def test_measures_are_symmetric(measure: Callable):
    a, b = image_like(seed=0), image_like(seed=1)
    assert measure(a, b) == pytest.approx(measure(b, a), abs=1e-12)


def test_bounds():
    for seed in range(5):
        a, b = image_like(seed=seed), 1 - image_like(seed=seed)
        assert np.abs(ssim_map(a, b)).max() <= 1 + 1e-12
        assert 0 <= mae(a, b) <= 1
        assert psnr(a, b) >= 0


def test_more_noise_is_worse():
    a, noise = image_like(), np.random.default_rng(3).normal(size=(32, 28))
    levels = [a + scale * noise for scale in (0.01, 0.05, 0.2)]
    for measure, sign in ((psnr, -1), (mae, 1), (lambda x, y: ssim_map(x, y).mean(), -1)):
        assert (np.diff([sign * measure(a, b) for b in levels]) > 0).all()


def test_identity_scores_perfectly():
    scores = table(score_subject(**subject(noise=0), subject="s"))
    for region in ("image", "brain", "interior"):
        assert scores["all", region, "ssim"] == pytest.approx(1)
        assert scores["all", region, "psnr"] == math.inf
        assert scores["all", region, "mae"] == 0
    for tissue in ("csf", "gm", "wm"):
        assert scores["all", tissue, "dice_kmeans"] == scores["all", tissue, "dice_truth"] == 1


def test_volume_scores_pool_and_slices_stand_alone():
    case = subject()
    scores = table(score_subject(**case, subject="s"))
    a, b, mask = case["translated"], case["target"], case["mask"]
    assert len(scores) == (4 + 1) * (3 * 3 + 2 * 3)
    assert scores["all", "image", "ssim"] == pytest.approx(ssim_map(a, b).mean())
    assert scores["all", "brain", "ssim"] == pytest.approx(ssim_map(a, b)[mask].mean())
    pooled = -10 * math.log10(np.mean((a - b)[mask] ** 2))
    assert scores["all", "brain", "psnr"] == pytest.approx(pooled)
    assert scores[1, "image", "psnr"] == pytest.approx(psnr(a[..., 1], b[..., 1]))
    assert scores[2, "brain", "mae"] == pytest.approx(mae(a[..., 2], b[..., 2], mask[..., 2]))
    gm = dice(case["labels_translated"][..., 0], case["labels_kmeans_truth"][..., 0], 2)
    assert scores[0, "gm", "dice_kmeans"] == pytest.approx(gm)


def test_a_slice_without_brain_keeps_its_rows():
    scores = table(score_subject(**subject(), subject="s"))
    assert math.isnan(scores[3, "brain", "ssim"])
    assert math.isnan(scores[3, "csf", "dice_kmeans"])
    assert math.isfinite(scores[3, "image", "ssim"])


def test_truth_beyond_the_mask_does_not_count():
    case = subject()
    beyond = np.where(case["mask"], case["labels_truth"], 1)
    first = table(score_subject(**case, subject="s"))
    second = table(score_subject(**{**case, "labels_truth": beyond}, subject="s"))
    assert first["all", "csf", "dice_truth"] == second["all", "csf", "dice_truth"]


def test_no_truth_no_rows():
    scores = score_subject(**{**subject(), "labels_truth": None}, subject="s")
    assert not any(score.metric == "dice_truth" for score in scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"translated": np.full((20, 18, 4), np.nan)}, "translated image"),
        ({"target": np.full((20, 18, 4), np.inf)}, "target image"),
        ({"translated": np.zeros((20, 18, 3))}, "translated image"),
        ({"labels_truth": np.zeros((20, 18, 3))}, "truth labels"),
        ({"mask": np.zeros((20, 18, 4))}, "empty"),
    ],
)
def test_errors_name_the_subject(change, message):
    with pytest.raises(StudyError, match=rf"^sub-07: .*{message}"):
        score_subject(**{**subject(), **change}, subject="sub-07")


def test_slices_below_the_window_name_the_subject():
    small = np.ones((8, 8, 1))
    with pytest.raises(StudyError, match=r"^sub-07: SSIM"):
        score_subject(*[small] * 5, subject="sub-07")


def test_shapes_must_agree():
    for measure in (psnr, mae, ssim_map):
        with pytest.raises(StudyError, match="differ"):
            measure(np.zeros((12, 12)), np.zeros((12, 13)))
    with pytest.raises(StudyError, match="11 px"):
        ssim_map(np.zeros((8, 20)), np.zeros((8, 20)))


def test_evaluation_does_not_load_torch():
    names = tuple(f"evaluation.{name}" for name in ("segmentation", "metrics", "scores"))
    names += ("evaluation.statistics", "evaluation.tables")
    names += ("report.table_writers", "figures.scores")
    code = "import sys, " + ", ".join(f"lmidiff.{name}" for name in names)
    code += "; from skimage.metrics import structural_similarity"
    code += "; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    path = ":".join(p for p in sys.path if p)
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}).returncode == 0


def test_clusters_of_whole_slices_are_scored_over_whole_slices():
    person = subject()
    generator = np.random.default_rng(2)
    whole = {
        name: generator.integers(1, 4, person["mask"].shape)
        for name in ("labels_translated", "labels_kmeans_truth")
    }
    whole["labels_translated"][person["mask"]] = whole["labels_kmeans_truth"][person["mask"]]
    found = table(score_subject(**{**person, **whole}, subject="s", field="head"))
    drawn = [whole[name].ravel() for name in ("labels_kmeans_truth", "labels_translated")]
    oracle = f1_score(*drawn, labels=[1, 2, 3], average=None)
    for name, value in zip(("dark", "middle", "bright"), oracle, strict=True):
        assert found["all", name, "dice_kmeans"] == pytest.approx(value)
        assert value < 0.9, "they differ outside the brain alone"
    kinds = {(region, metric) for _, region, metric in found if metric.startswith("dice")}
    assert kinds == {(name, "dice_kmeans") for name in ("dark", "middle", "bright")}
    brain = table(score_subject(**person, subject="s"))
    for key in found:
        if not key[2].startswith("dice"):
            np.testing.assert_equal(found[key], brain[key])

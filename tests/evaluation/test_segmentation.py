import json

import numpy as np
import pytest
from sklearn.cluster import KMeans

from lmidiff.common.errors import StudyError
from lmidiff.data.anatomy import icbm_anatomy
from lmidiff.data.grid import Grid
from lmidiff.data.simulate import simulate_subject
from lmidiff.evaluation import segmentation
from lmidiff.evaluation.segmentation import BY_BRIGHTNESS, KMeansModel, fit_kmeans, segment


def tissues(size: int = 4000) -> np.ndarray:
    generator = np.random.default_rng(0)
    parts = [generator.normal(mean, 0.05, size) for mean in (0.2, 0.5, 0.8)]
    return np.concatenate(parts).astype(np.float32)


def test_agrees_with_sklearn_predict():
    values = tissues()
    model = fit_kmeans(values, seed=3)
    oracle = KMeans(3, n_init=10, random_state=0).fit(values[:, None].astype(float))
    order = np.argsort(oracle.cluster_centers_[:, 0])
    assert np.allclose(model.centres, oracle.cluster_centers_[order, 0], atol=1e-3)
    exact = KMeans(3, init=np.array(model.centres)[:, None], n_init=1, max_iter=1)
    exact.fit(np.array(model.centres)[:, None])
    image = np.random.default_rng(1).random((9, 7, 5))
    expected = exact.predict(image.reshape(-1, 1)).reshape(image.shape) + 1
    assert np.array_equal(segment(model, image, np.ones_like(image)), expected)


def test_centres_rise_and_recover_the_tissues():
    assert np.allclose(fit_kmeans(tissues(), seed=1).centres, (0.2, 0.5, 0.8), atol=0.02)


def test_same_seed_same_centres_even_when_subsampled(monkeypatch):
    monkeypatch.setattr(segmentation, "MAX_VOXELS", 500)
    first, second = (fit_kmeans(tissues(), seed=5) for _ in range(2))
    assert first == second
    assert first.voxels == 500
    assert fit_kmeans(tissues(), seed=6).centres != first.centres


def test_labels_are_zero_outside_the_mask_whatever_is_there():
    image = np.array([[0.1, 0.5], [0.9, np.nan]])
    mask = np.array([[1, 1], [1, 0]])
    labels = segment(KMeansModel((0.1, 0.5, 0.9), 10, 0), image, mask)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[1, 2], [3, 0]]


@pytest.mark.parametrize(
    ("modality", "due"),
    [
        ("T1w", [1, 2, 3]),
        ("PDw", [3, 2, 1]),
        ("T2w", [3, 2, 1]),
        ("FLAIR", [1, 3, 2]),
        ("CT", [1, 2, 3]),
    ],
)
def test_labels_are_of_tissues_by_their_brightness_in_the_target(modality, due):
    model = fit_kmeans(tissues(), seed=1, modality=modality)
    assert segment(model, np.array([0.2, 0.5, 0.8]), np.ones(3)).tolist() == due
    assert fit_kmeans(tissues(), seed=1, clusters=2, modality=modality).labels == (1, 2)


def test_the_order_of_brightness_is_that_of_simulated_scans():
    grid = Grid(image_size=64, pixel_size=3.0, slices=3, extent=(0.45, 0.65))
    anatomy = icbm_anatomy(grid, 1, "sub-x")
    person = simulate_subject(anatomy, BY_BRIGHTNESS, 1, "sub-x")
    pure = anatomy.fractions > 0.97
    for modality, labels in BY_BRIGHTNESS.items():
        means = [person.images[modality][pure[label - 1]].mean() for label in labels]
        assert means == sorted(means), modality


def test_a_model_from_before_labels_were_named_has_them_rising(tmp_path):
    path = tmp_path / "kmeans.json"
    KMeansModel((0.1, 0.5, 0.9), 10, 0, (3, 2, 1)).save(path)
    assert KMeansModel.load(path).labels == (3, 2, 1)
    old = {k: v for k, v in json.loads(path.read_text()).items() if k != "labels"}
    path.write_text(json.dumps(old))
    assert KMeansModel.load(path).labels == (1, 2, 3)
    with pytest.raises(StudyError, match=r"labels \[1, 1, 2\] for 3 centres"):
        KMeansModel((0.1, 0.5, 0.9), 10, 0, (1, 1, 2))


@pytest.mark.parametrize("modality", ["T1w", "PDw"])
def test_clusters_of_whole_slices_rise_in_every_modality_and_leave_out_nothing(modality):
    generator = np.random.default_rng(3)
    air = np.zeros(9000, np.float32)  # exactly one value, and the most frequent
    values = np.concatenate([air, tissues()])
    model = fit_kmeans(values, seed=1, modality=modality, field="head", images="head")
    oracle = KMeans(3, n_init=10, random_state=0).fit(values[:, None].astype(float))
    assert np.allclose(model.centres, np.sort(oracle.cluster_centers_[:, 0]), atol=1e-3)
    image = generator.random((6, 5, 4)) * (generator.random((6, 5, 4)) > 0.3)
    labels = segment(model, image, np.zeros(image.shape))
    nearest = np.abs(image[..., None] - np.array(model.centres)).argmin(-1)
    assert np.array_equal(labels, nearest + 1), "also where there is no brain"


def test_what_a_segmenter_is_of_is_kept_with_it(tmp_path):
    path = tmp_path / "kmeans.json"
    KMeansModel((0.1, 0.5, 0.9), 10, 0).save(path)
    assert set(json.loads(path.read_text())) == {"model", "centres", "voxels", "seed", "labels"}
    for fields in (("head", "brain"), ("head", "head"), ("brain", "head")):
        model = KMeansModel((0.1, 0.5, 0.9), 10, 0, (1, 2, 3), *fields)
        model.save(path)
        assert KMeansModel.load(path) == model
    path.write_text(path.read_text().replace('"head"', '"neck"'))
    with pytest.raises(StudyError, match="'neck' is none of brain, head"):
        KMeansModel.load(path)


def test_a_tie_goes_to_the_darker_tissue():
    model = KMeansModel((0.0, 0.5, 1.0), 10, 0)
    assert segment(model, np.array([0.25, 0.75]), np.ones(2)).tolist() == [1, 2]


def test_json_round_trip_is_exact(tmp_path):
    model = fit_kmeans(tissues(), seed=1)
    model.save(tmp_path / "kmeans.json")
    assert KMeansModel.load(tmp_path / "kmeans.json") == model


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        json.dumps({"centres": [0.1, 0.2, 0.3]}),
        json.dumps({"model": "gmm", "centres": [0.1, 0.2], "voxels": 3, "seed": 1}),
        json.dumps({"model": "kmeans", "centres": [0.3, 0.2], "voxels": 3, "seed": 1}),
        json.dumps({"model": "kmeans", "centres": [0.3, "x"], "voxels": 3, "seed": 1}),
        json.dumps({"model": "kmeans", "centres": [0.3, float("nan")], "voxels": 3, "seed": 1}),
        *(
            json.dumps({"model": "kmeans", "centres": centres, "voxels": 3, "seed": 1})
            for centres in (4, "123", [-0.3, -0.2, -0.1], [20, 120, 200], {"0.1": 1, "0.2": 2})
        ),
    ],
)
def test_a_spoilt_file_is_named_in_one_line(tmp_path, content):
    path = tmp_path / "kmeans.json"
    path.write_text(content)
    with pytest.raises(StudyError, match=r"kmeans\.json") as caught:
        KMeansModel.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"none\.json"):
        KMeansModel.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "values", [np.ones((3, 3)), np.array([0.1, np.nan, 0.3]), np.array([0.1, 0.1, 0.2]), []]
)
def test_values_that_cannot_be_clustered(values):
    with pytest.raises(StudyError, match="K-Means"):
        fit_kmeans(values, seed=0)


def test_segment_refuses_other_shapes_and_nan_in_the_brain():
    model = KMeansModel((0.1, 0.5, 0.9), 10, 0)
    with pytest.raises(StudyError, match="differ"):
        segment(model, np.zeros((2, 2)), np.ones((2, 3)))
    with pytest.raises(StudyError, match="finite"):
        segment(model, np.array([np.nan]), np.ones(1))

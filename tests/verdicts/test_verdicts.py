"""Claims on constructed scores: each verdict where it is due, and none on shuffled labels."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.quantities import QUANTITIES
from lmidiff.evaluation.scores import METRIC_COLUMNS, SLICE_COLUMNS, read_scores
from lmidiff.evaluation.statistics import Interval
from lmidiff.verdicts.claims import Claim, Claims, read_claims
from lmidiff.verdicts.comparisons import compare_rows
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.paired import holm, sign_flip_p
from lmidiff.verdicts.rule import (
    COLUMNS,
    HELD,
    NOT_HELD,
    NOT_RUN,
    UNDECIDED,
    Part,
    decide,
    decide_all,
    judge,
    weigh,
)
from lmidiff.verdicts.text import write_frame

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "results" / "reference" / "default"
SOURCES = ("PDw", "T2w")
REGIONS = {"ssim": ("brain",), "dice_kmeans": ("csf", "gm", "wm"), "mae": ("brain",)}


def claim(key: str = "a_beats_b", **settings) -> Claim:
    plain = {"origin": "study", "sentence": key, "row": "a", "against": ("b",)}
    return Claim(**{"key": key, **plain, "quantities": ("ssim_brain",), **settings})


def claims(*asked: Claim, matters: float = 0.01) -> Claims:
    quantities = {"ssim_brain": matters, "dice_kmeans_mean": matters, "mae_brain": matters}
    return Claims(0.05, 0.8, quantities, ("b",), asked or (claim(),))


def study(
    levels: dict, subjects: int = 8, noise: float = 0.02, seed: int = 0, depth: int = 4
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores around a level for each row and source (or row), with noise between subjects."""
    generator = np.random.default_rng(seed)
    whole, slices = [], []
    for row, level in levels.items():
        for source in SOURCES:
            at = level[source] if isinstance(level, dict) else level
            if at is None:
                continue
            for number in range(subjects):
                key = ("demo", row, source, "T1w", f"sub-{number:02d}", 1)
                for metric, regions in REGIONS.items():
                    for region in regions:
                        value = at + generator.normal(0, noise)
                        value = 1 - value if metric == "mae" else value
                        whole.append((*key, region, metric, value))
                        for z in range(depth):
                            near = value + generator.normal(0, noise)
                            slices.append((*key, z, region, metric, near))
    return pd.DataFrame(whole, columns=METRIC_COLUMNS), pd.DataFrame(slices, columns=SLICE_COLUMNS)


def verdict_of(levels: dict, asked: Claim | None = None, **settings) -> pd.Series:
    scores = PairedScores(*study(levels, **settings))
    return judge(scores, claims(asked or claim()), SOURCES, seed=1)[0].iloc[0]


# -- each verdict where it is due -----------------------------------------------------------------


def test_a_clear_lead_is_held():
    row = verdict_of({"a": 0.8, "b": 0.6})
    assert row["verdict"] == HELD
    assert 0.17 < row["low"] < row["effect"] < row["high"] < 0.23
    assert row["subjects"] == 8
    assert (row["parts"], row["parts_above"], row["parts_below"]) == (2, 2, 0)
    assert row["p_for_holm"] == 1 / 256
    assert row["subjects_to_settle"] == ""


def test_a_clear_deficit_did_not_hold():
    row = verdict_of({"a": 0.6, "b": 0.8})
    assert row["verdict"] == NOT_HELD
    assert row["effect"] == pytest.approx(-0.2, abs=0.03)
    assert row["p_against_holm"] == 1 / 256


def test_no_difference_worth_having_did_not_hold():
    row = verdict_of({"a": 0.7, "b": 0.7}, noise=0.002)
    assert row["verdict"] == NOT_HELD
    assert row["high"] < row["margin"] == 0.01


def test_noise_or_few_subjects_leave_it_undecided_and_say_how_many_would_settle_it():
    noisy = verdict_of({"a": 0.75, "b": 0.7}, noise=0.1)
    assert noisy["verdict"] == UNDECIDED
    assert int(noisy["subjects_to_settle"]) > 8
    few = verdict_of({"a": 0.8, "b": 0.6}, subjects=4)
    assert few["verdict"] == UNDECIDED, "four subjects cannot reach the level"
    assert few["p_for"] == 1 / 16
    assert few["subjects_to_settle"] == "5"
    enough = verdict_of({"a": 0.8, "b": 0.6}, subjects=5)
    assert enough["verdict"] == HELD


def test_one_subject_decides_nothing():
    row = verdict_of({"a": 0.9, "b": 0.1}, subjects=1)
    assert row["verdict"] == UNDECIDED
    assert row["subjects_to_settle"] == "unknown"
    assert math.isnan(row["low"])
    assert "one subject" in row["note"]


def test_a_row_that_is_not_there_is_not_run():
    row = verdict_of({"a": 0.8, "c": 0.6})
    assert row["verdict"] == NOT_RUN
    assert row["note"] == "no row b in this study"
    assert pd.isna(row["effect"])
    holed = verdict_of({"a": 0.8, "b": {"PDw": 0.6, "T2w": None}})
    assert (holed["verdict"], holed["note"]) == (NOT_RUN, "no scores of b from T2w")


def test_it_must_hold_from_every_source_and_the_weakest_is_shown():
    scores = PairedScores(*study({"a": 0.7, "b": {"PDw": 0.5, "T2w": 0.9}}))
    verdicts, parts = judge(scores, claims(), SOURCES, seed=1)
    row = verdicts.iloc[0]
    assert row["verdict"] == NOT_HELD, "the mean over sources would say there is no difference"
    assert (row["source"], row["parts_above"], row["parts_below"]) == ("T2w", 1, 1)
    assert parts["finding"].tolist() == ["above", "below"]
    assert row["p_for"] == parts["p_for"].max() == 1
    assert parts["p_for"].min() == parts["p_against"].min() == 1 / 256
    assert 1 / 256 <= row["p_against"] <= 2 / 256


def test_it_must_hold_in_every_quantity_and_against_every_row():
    asked = claim(quantities=("ssim_brain", "mae_brain"), against=("b", "c"))
    assert verdict_of({"a": 0.8, "b": 0.6, "c": 0.7}, asked)["verdict"] == HELD
    row = verdict_of({"a": 0.8, "b": 0.6, "c": 0.9}, asked)
    assert (row["verdict"], row["against"], row["parts"]) == (NOT_HELD, "c", 8)


def test_lower_is_better_where_it_is():
    assert verdict_of({"a": 0.8, "b": 0.6}, claim(quantities=("mae_brain",)))["effect"] > 0.15


def test_not_worse_is_shown_by_equality():
    asked = claim(shows="not_worse")
    assert verdict_of({"a": 0.7, "b": 0.7}, asked, noise=0.002)["verdict"] == HELD
    assert verdict_of({"a": 0.65, "b": 0.7}, asked, noise=0.002)["verdict"] == NOT_HELD


def test_a_claim_about_several_sources_needs_them():
    scores = PairedScores(*study({"a": 0.8, "b": 0.6}))
    asked = claims(claim(least_sources=2))
    assert judge(scores, asked, SOURCES, seed=1)[0]["verdict"].item() == HELD
    alone = judge(scores, asked, ["PDw"], seed=1)[0].iloc[0]
    assert (alone["verdict"], alone["note"]) == (NOT_RUN, "needs 2 sources, the study has 1")


def test_holm_counts_the_claims_of_an_origin_that_were_run():
    several = [claim(f"c{number}") for number in range(6)]
    others = [claim("gone", against=("x",)), claim("paper", origin="paper")]
    scores = PairedScores(*study({"a": 0.8, "b": 0.6}, subjects=7))
    found = judge(scores, claims(*several, *others), SOURCES, seed=1)[0].set_index("claim")
    assert found.loc["c0", "p_for_holm"] == pytest.approx(6 / 128)
    assert found.loc["paper", "p_for_holm"] == pytest.approx(1 / 128)
    assert found.loc["c0", "verdict"] == found.loc["paper", "verdict"] == HELD
    more = claims(*several, claim("c6"))
    found = judge(scores, more, SOURCES, seed=1)[0]
    assert (found["verdict"] == UNDECIDED).all(), "7 / 128 is above 0.05"
    assert (found["subjects_to_settle"] == "8").all()


@pytest.mark.parametrize(
    ("intervals", "p_for", "p_against", "due"),
    [
        ([(0.02, 0.3), (0.02, 0.1)], 0.05, 1.0, HELD),
        ([(0.02, 0.3), (0.02, 0.1)], 0.051, 1.0, UNDECIDED),
        ([(0.02, 0.3), (0.005, 0.1)], 0.01, 1.0, UNDECIDED),
        ([(0.02, 0.3), (-0.3, 0.005)], 1.0, 0.05, NOT_HELD),
        ([(0.02, 0.3), (-0.3, 0.005)], 1.0, 0.051, UNDECIDED),
        ([(0.02, 0.3), (-0.3, 0.02)], 1.0, 0.01, UNDECIDED),
        ([(math.nan, math.nan)], 0.01, 0.01, UNDECIDED),
    ],
)
def test_a_verdict_needs_both_the_corrected_test_and_the_intervals(
    intervals, p_for, p_against, due
):
    parts = [
        Part(
            "b", "ssim_brain", "PDw", 0.01, Interval(0.0, *ends, 8), 1.0, 0.5, 0.5, np.zeros((8, 1))
        )
        for ends in intervals
    ]
    assert decide(parts, p_for, p_against, 0.05) == due


# -- holes ----------------------------------------------------------------------------------------


def test_subjects_without_a_score_are_left_out_and_named():
    whole, slices = study({"a": 0.8, "b": 0.6}, subjects=9)
    nan = (whole["method"] == "b") & (whole["subject"] == "sub-03") & (whole["source"] == "T2w")
    whole.loc[nan, "value"] = math.nan
    whole = whole[~((whole["method"] == "a") & (whole["subject"] == "sub-05"))]
    everyone = [f"sub-{number:02d}" for number in range(10)]
    scores = PairedScores(whole, slices, everyone)
    row = judge(scores, claims(), SOURCES, seed=1)[0].iloc[0]
    assert row["subjects"] == 7
    assert row["note"] == "left out, without a score: sub-03 sub-05 sub-09"
    assert row["verdict"] == HELD
    frame = compare_rows(scores, {"a": "A", "b": "B"}, SOURCES, ["b"], seed=1)
    cell = frame.set_index(["source", "quantity"]).loc[("T2w", "ssim_brain")]
    assert (cell["subjects"], cell["left_out"]) == (7, "sub-03 sub-05 sub-09")


def test_a_tissue_that_one_row_does_not_define_counts_for_neither():
    whole, slices = study({"a": 0.8, "b": 0.6}, noise=0)
    asked = claim(quantities=("dice_kmeans_mean",))
    csf = (whole["method"] == "a") & (whole["region"] == "csf")
    whole.loc[csf, "value"] = 0.0
    whole.loc[csf.to_numpy() & (whole["subject"] == "sub-01"), "value"] = math.nan
    scores = PairedScores(whole, slices)
    values = scores.differences("a", "b", "PDw", "dice_kmeans_mean").means
    assert values["sub-00"] == pytest.approx((-0.6 + 0.2 + 0.2) / 3)
    assert values["sub-01"] == pytest.approx(0.2)
    assert judge(scores, claims(asked), SOURCES, seed=1)[0]["subjects"].item() == 8


def test_frames_that_do_not_pair():
    whole, slices = study({"a": 0.8, "b": 0.6}, subjects=2)
    with pytest.raises(StudyError, match="one study"):
        PairedScores(whole.assign(study="x"), slices)
    with pytest.raises(StudyError, match=r"twice the row method=a, source=PDw, subject=sub-00"):
        PairedScores(pd.concat([whole, whole]), slices).differences("a", "b", "PDw", "ssim_brain")


# -- labels that mean nothing ---------------------------------------------------------------------


def held_share(decisions: list[list]) -> tuple[float, float]:
    """How often any claim was held, and any did not hold."""
    said = [{decision.verdict for decision in one} for one in decisions]
    return np.mean([HELD in one for one in said]), np.mean([NOT_HELD in one for one in said])


def test_on_shuffled_labels_of_constructed_scores_at_most_one_in_twenty_is_held():
    # Six claims of two parts each; which row is which is decided by a coin for each subject. No
    # margin: the hardest case. Heavy tails, sources of one subject alike, slices noisy.
    generator = np.random.default_rng(5)
    keys = [("b", "ssim_brain", source) for source in SOURCES]
    decisions, alone = [], []
    for _ in range(1000):
        found = []
        for _ in range(6):
            shared = generator.standard_t(3, (1, 8))
            values = (shared + generator.standard_t(3, (2, 8))) * generator.choice([-1, 1], 8)
            slices = generator.normal(0, 1, (2, 8, 5))
            slices -= slices.mean(axis=2, keepdims=True)
            found.append(weigh(keys, [0.0, 0.0], values[:, :, None], slices, seed=1))
        decisions.append(decide_all(found, 0.05))
        alone.append(sign_flip_p(values).min() <= 0.05)
    held, not_held = held_share(decisions)
    assert held <= 0.05
    assert not_held <= 0.05
    assert not_held > 0, "some are found, or the simulation could not fail"
    assert np.mean(alone) > 0.05, "uncorrected tests of two parts would break the promise"


@pytest.mark.parametrize(
    "rows", [("lmidiffusion", "sdedit"), ("inverted_histogram", "lmidiffusion")]
)
def test_on_every_shuffling_of_recorded_labels_at_most_one_in_twenty_is_held(rows):
    scores = PairedScores(
        read_scores(RECORDED / "metrics.csv.xz"), read_scores(RECORDED / "slices.csv.xz")
    )
    found = [scores.differences(*rows, source, "ssim_brain") for source in SOURCES]
    people = 8  # few enough for every pattern of their signs
    values = np.array([one.values.to_numpy()[:people] for one in found])
    slices = np.array([one.deviations.to_numpy()[:people] for one in found])
    patterns = 1 - 2 * (np.arange(2**people)[:, None] >> np.arange(people) & 1)
    keys = [("b", "ssim_brain", source) for source in SOURCES]
    decisions = []
    for signs in patterns:
        turned = values * signs[:, None]
        flipped = weigh(keys, [0.0] * 2, turned, slices * signs[:, None], seed=1)
        decisions.append(decide_all([flipped], 0.05))
    held, not_held = held_share(decisions)
    assert 0 < held <= 0.05, "the true labelling is among them"
    assert not_held <= 0.05


def test_swapping_the_labels_of_everyone_turns_the_verdict_round():
    whole, slices = study({"a": 0.8, "b": 0.6})
    names = {"a": "b", "b": "a"}
    swapped = [frame.assign(method=frame["method"].map(names)) for frame in (whole, slices)]
    there = judge(PairedScores(whole, slices), claims(matters=0), SOURCES, seed=1)[1]
    back = judge(PairedScores(*swapped), claims(matters=0), SOURCES, seed=1)[1]
    assert back["effect"].tolist() == pytest.approx((-there["effect"]).tolist())
    assert back["low"].tolist() == pytest.approx((-there["high"]).tolist())
    assert back["p_for"].tolist() == there["p_against"].tolist()


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_a_network_of_whole_brains_is_judged_and_compared_without_slices(seeds):
    parts = [study({"a": 0.8, "b": 0.6}, noise=0.001 * seed, seed=seed) for seed in seeds]
    frames = [
        [frame.assign(seed=seed) for frame in part] for part, seed in zip(parts, seeds, strict=True)
    ]
    whole, slices = (pd.concat(each, ignore_index=True) for each in zip(*frames, strict=True))
    asked = Claims(
        0.05, 0.8, {"dice_net_mean": 0.01}, ("b",), (claim(quantities=("dice_net_mean",)),)
    )
    without = judge(PairedScores(whole, slices), asked, SOURCES, seed=1)[0].iloc[0]
    assert without["verdict"] == NOT_RUN
    added = whole[(whole["metric"] == "dice_kmeans") & (whole["region"] != "csf")]
    whole = pd.concat([whole, added.assign(metric="dice_net")], ignore_index=True)
    scores = PairedScores(whole, slices)
    verdict = judge(scores, asked, SOURCES, seed=1)[0].iloc[0]
    assert verdict["verdict"] == HELD
    assert verdict["low"] < verdict["effect"] < verdict["high"]
    frame = compare_rows(scores, {"a": "A", "b": "B"}, SOURCES, ["b"], seed=1)
    cells = frame[frame["quantity"] == "dice_net_mean"]
    expected = added[added["method"] == "a"]["value"].mean() - 0.6
    assert cells["difference"].mean() == pytest.approx(expected, abs=0.01)
    assert (cells["low"] < cells["difference"]).all()


# -- every row against one ------------------------------------------------------------------------


def test_comparisons_are_the_differences_of_the_table_with_holm_over_the_rows():
    levels = {"a": 0.8, "b": 0.6, "c": 0.61}
    scores = PairedScores(*study(levels))
    labels = {"a": "A", "b": "B", "c": "C", "d": "D"}
    frame = compare_rows(scores, labels, SOURCES, ["x", "b"], seed=1)
    assert set(frame["reference"]) == {"b"}
    assert len(frame) == 2 * sum(not quantity.optional for quantity in QUANTITIES) * 3
    cells = frame.set_index(["source", "quantity", "method"]).sort_index()
    ssim = scores.metrics[scores.metrics["metric"] == "ssim"]
    means = ssim.groupby(["source", "method"])["value"].mean()
    for source in SOURCES:
        part = cells.loc[(source, "ssim_brain")].loc[["a", "c"]]
        assert part.loc["a", "p"] == 2 / 256
        assert part["p_holm"].tolist() == pytest.approx(holm(part["p"]).tolist())
        for row, cell in part.iterrows():
            assert cell["difference"] == pytest.approx(means[source, row] - means[source, "b"])
            assert cell["low"] < cell["difference"] < cell["high"]
    assert cells.loc[("PDw", "mae_brain", "a"), "difference"] < -0.15, "in the table's own unit"
    assert (cells.xs("d", level="method")["status"] == "missing").all()
    assert (cells.xs("psnr_brain", level="quantity")["status"] != "measured").all()
    assert compare_rows(scores, labels, SOURCES, ["x"], seed=1).empty


# -- files ----------------------------------------------------------------------------------------


def test_the_same_scores_give_the_same_bytes_in_any_order(tmp_path):
    whole, slices = study({"a": 0.8, "b": 0.6})
    for name, frames in {
        "one": (whole, slices),
        "two": (whole.sample(frac=1, random_state=1), slices.sample(frac=1, random_state=2)),
    }.items():
        verdicts, parts = judge(PairedScores(*frames), claims(), SOURCES, seed=1)
        write_frame(verdicts, tmp_path / f"{name}.csv")
        write_frame(parts, tmp_path / f"{name}_parts.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one_parts.csv").read_bytes() == (tmp_path / "two_parts.csv").read_bytes()
    text = pd.read_csv(tmp_path / "one.csv", dtype=str, keep_default_na=False)
    assert list(text.columns) == COLUMNS
    assert text.loc[0, "subjects"] == "8"
    assert text.loc[0, "p_for"] == "0.003906"


def test_every_row_that_a_claim_names_is_a_row_somewhere():
    import yaml

    from lmidiff.methods import METHODS

    known = {*METHODS, *COMING}
    for path in (ROOT / "config").glob("*.yaml"):
        known |= set(yaml.safe_load(path.read_text()).get("methods") or {})
    for one in read_claims(ROOT / "config" / "claims.yaml").claims:
        assert {one.row, *one.against} <= known, one.key


#: Rows of the paper's table that a study may not have yet; a claim about them is "not run".
COMING = frozenset(
    {"cyclegan", "cyclegan_unseen", "stylegan", "fgdm", "ilvr", "cr_regression", "self_consistent"}
    | {"edges", "image_cr", "lookup", "sdedit_inverted", "synth_regression"}
    | {"cr_regression_consistent", "self_consistent"}
)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("quantities: [ssim_brain]", "quantities: [ssim_brian]"), "quantity ssim_brian has no"),
        (("against: [cyclegan]", "against: [lmidiffusion]"), "compares lmidiffusion with itself"),
        (("key: beats_stylegan", "key: beats_cyclegan"), "claim beats_cyclegan: is there twice"),
        (("origin: paper", "origin: hearsay"), "'hearsay' is not one of"),
        (("{ssim_brain: 0.01", "{ssim_brain: 0.01, luck: 1"), "matters.luck is no quantity"),
        (("level: 0.05", "levle: 0.05"), "levle is not a known key"),
        (("level: 0.05", "level: [0.05"), "no YAML"),
    ],
)
def test_claims_that_cannot_be_decided(tmp_path, edit, message):
    path = tmp_path / "claims.yaml"
    path.write_text((ROOT / "config" / "claims.yaml").read_text().replace(*edit, 1))
    with pytest.raises(StudyError) as caught:
        read_claims(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(StudyError, match="cannot be read"):
        read_claims(tmp_path / "none.yaml")


def test_a_claim_is_what_the_file_says():
    found = read_claims(ROOT / "config" / "claims.yaml")
    first = found.claims[0]
    assert dataclasses.asdict(first)["against"] == ("cyclegan",)
    assert found.margin(first, "ssim_brain") == found.matters["ssim_brain"]
    last = dataclasses.replace(first, shows="not_worse")
    assert found.margin(last, "ssim_brain") == -found.matters["ssim_brain"]

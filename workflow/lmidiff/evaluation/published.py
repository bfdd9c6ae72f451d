"""Segmenters that others published, and what they need: read where a study is planned."""

from collections.abc import Mapping
from dataclasses import dataclass

MOST_MM = 3.0
"""Slices further apart than this are no volume to a network of 1 mm."""

METRIC = "dice_net"


@dataclass(frozen=True)
class Published:
    """A network of the ledger.

    Attributes:
        files: ``<dataset>/<file>``, ``model.json`` first.
        labels: tissue or structure to its label.
        times: how many times the seconds of the smallest it takes, about.
    """

    files: tuple[str, ...]
    labels: Mapping[str, int]
    times: float = 1.0


_STRUCTURES = (
    "cerebral_white_matter", "cerebral_cortex", "lateral_ventricle",
    "inferior_lateral_ventricle", "cerebellar_white_matter", "cerebellar_cortex", "thalamus",
    "caudate", "putamen", "pallidum", "third_ventricle", "fourth_ventricle", "brain_stem",
    "hippocampus", "amygdala", "accumbens", "ventral_diencephalon",
)  # fmt: skip

NETWORKS = {
    "model5_gw_ae": Published(
        (
            "meshnet/model5_gw_ae/model.json",
            "meshnet/model5_gw_ae/group1-shard1of1.bin",
        ),
        {"gm": 2, "wm": 1},
    ),
    "model30chan18cls": Published(
        (
            "meshnet/model30chan18cls/model.json",
            "meshnet/model30chan18cls/model.bin",
        ),
        {name: number for number, name in enumerate(_STRUCTURES, start=1)},
        times=10.0,
    ),
}
"""By the names that Brainchop gives them."""

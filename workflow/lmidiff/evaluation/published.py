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
        labels: tissue to its label.
    """

    files: tuple[str, ...]
    labels: Mapping[str, int]


NETWORKS = {
    "model5_gw_ae": Published(
        (
            "meshnet/model5_gw_ae/model.json",
            "meshnet/model5_gw_ae/group1-shard1of1.bin",
        ),
        {"gm": 2, "wm": 1},
    ),
}
"""By the names that Brainchop gives them."""

"""The numbers of the table, and which rows of ``metrics.csv`` each is the mean of."""

from dataclasses import dataclass

from lmidiff.common.regions import CLUSTERS, TISSUES


@dataclass(frozen=True)
class Quantity:
    """A numeric column: which rows of ``metrics.csv`` it averages and how it prints.

    Several regions are averaged within a subject, over those where the number is defined. An
    optional one is left out of a study that does not measure it.
    """

    key: str
    title: str
    metric: str
    regions: tuple[str, ...]
    unit: str
    digits: int
    higher_is_better: bool = True
    optional: bool = False

    @property
    def region(self) -> str:
        """The region's name in ``config/published.tsv``: its own, or ``mean`` of several."""
        return self.regions[0] if len(self.regions) == 1 else "mean"


# A study has the one or the other; clusters of whole slices have no column each.
_LABELS = (*TISSUES, *CLUSTERS)

QUANTITIES = (
    Quantity("ssim_image", "SSIM, image", "ssim", ("image",), "1", 3),
    Quantity("ssim_brain", "SSIM, brain", "ssim", ("brain",), "1", 3),
    Quantity("ssim_interior", "SSIM, inside its rim", "ssim", ("interior",), "1", 3),
    Quantity("psnr_brain", "PSNR, brain [dB]", "psnr", ("brain",), "dB", 2),
    Quantity("mae_brain", "MAE, brain", "mae", ("brain",), "1", 4, higher_is_better=False),
    Quantity("dice_kmeans_csf", "Dice vs K-Means, CSF", "dice_kmeans", ("csf",), "1", 3),
    Quantity("dice_kmeans_gm", "Dice vs K-Means, GM", "dice_kmeans", ("gm",), "1", 3),
    Quantity("dice_kmeans_wm", "Dice vs K-Means, WM", "dice_kmeans", ("wm",), "1", 3),
    Quantity("dice_kmeans_mean", "Dice vs K-Means, mean", "dice_kmeans", _LABELS, "1", 3),
    Quantity("dice_truth_mean", "Dice vs truth, mean", "dice_truth", TISSUES, "1", 3),
    Quantity("dice_net_gm", "Dice of a network, GM", "dice_net", ("gm",), "1", 3, optional=True),
    Quantity("dice_net_wm", "Dice of a network, WM", "dice_net", ("wm",), "1", 3, optional=True),
    Quantity(
        "dice_net_mean",
        "Dice of a network, mean",
        "dice_net",
        ("gm", "wm"),
        "1",
        3,
        optional=True,
    ),
)

"""Where a study's files are, each name spelled once; names follow BIDS.

``sub-01_T1w.nii.gz``, ``sub-01_desc-brain_mask.nii.gz``, ``sub-01_dseg.nii.gz``,
``sub-01_desc-lesion_mask.nii.gz``. Any part may be a
wildcard of the rules: ``paths.volume("{subject}", "T1w")``.
"""

from pathlib import Path

MASK, LABELS, LESIONS = "desc-brain_mask", "dseg", "desc-lesion_mask"
KMEANS = "kmeans"


class Paths:
    """Names of the files of one study.

    Args:
        folder: the study's results, such as ``results/default``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = str(folder)
        self.split = f"{folder}/split.tsv"
        self.metrics = f"{folder}/metrics.csv"
        self.slices = f"{folder}/slices.csv"
        self.table = f"{folder}/table1.csv"
        self.lesions = f"{folder}/lesions.csv"
        self.structures = f"{folder}/structures.csv"
        self.volumes_table = f"{folder}/volumes.csv"
        self.verdicts = f"{folder}/verdicts.csv"
        self.verdict_parts = f"{folder}/verdict_parts.csv"
        self.comparisons = f"{folder}/comparisons.csv"
        self.gap = f"{folder}/gap.csv"
        self.report = f"{folder}/report.md"
        self.cost = f"{folder}/record/cost.csv"
        self.config = f"{folder}/record/config.yaml"
        self.provenance = f"{folder}/record/provenance.json"

    def raw(self, subject: str, suffix: str) -> str:
        """A simulated scan as the scanner gave it; real scans stay where they are."""
        return f"{self.folder}/raw/{subject}/{subject}_{suffix}.nii.gz"

    def aligned(self, subject: str, suffix: str) -> str:
        """A raw subject's scan, or its mask, on the reference's grid; not kept."""
        return f"{self.folder}/aligned/{subject}/{subject}_{suffix}.nii"

    def transform(self, subject: str, modality: str, reference: str) -> str:
        """The rigid transform that takes a scan of a raw subject onto the reference."""
        name = f"{subject}_from-{modality}_to-{reference}_xfm.tfm"
        return f"{self.folder}/quality/{subject}/{name}"

    def quality(self, subject: str, kind: str) -> str:
        """A raw subject's judgement (``json``) or picture (``png``)."""
        return f"{self.folder}/quality/{subject}/{subject}_quality.{kind}"

    def volume(self, subject: str, suffix: str) -> str:
        """A preprocessed volume: on the study grid, 0..1, brain only."""
        return f"{self.folder}/volumes/{subject}/{subject}_{suffix}.nii.gz"

    def model(self, name: str, file: str = "weights.safetensors") -> str:
        """A file of a model's folder."""
        return f"{self.folder}/models/{name}/{file}"

    def segmenter(self, name: str) -> str:
        """The K-Means of a fold: ``kmeans``, or ``kmeans_fold-2``."""
        return self.model(name, f"{KMEANS}.json")

    def tuning(self, method: str, kind: str = "json") -> str:
        """The tuned settings of a method (``json``), or all that were tried (``csv``)."""
        return f"{self.folder}/tuning/{method}.{kind}"

    def shard(self, method: str, source: str, shard: int | str) -> str:
        """The folder of a shard's translated volumes."""
        return f"{self.folder}/translations/{method}/from-{source}/shard-{shard}"

    def segmentations(self, method: str, source: str) -> str:
        """The folder of K-Means labels of a method's translations."""
        return f"{self.folder}/segmentations/{method}/from-{source}"

    def scores(self, method: str, source: str, level: str) -> str:
        """Scores by subject (``metrics``) or by slice (``slices``), or those of ``lesions``,
        ``network`` or ``volumes``."""
        return f"{self.folder}/scores/{method}_from-{source}_{level}.csv"

    def extract(self, file: str) -> str:
        """What a figure is drawn from."""
        return f"{self.folder}/extracts/{file}"

    def figure(self, name: str, kind: str = "png") -> str:
        """A figure, or (``csv``) the numbers in it."""
        return f"{self.folder}/figures/{name}.{kind}"

    def page(self, name: str) -> str:
        """A page of the report."""
        return f"{self.folder}/report/{name}.html"

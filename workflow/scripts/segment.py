"""Label every translated volume of a method and source."""

from pathlib import Path

from lmidiff.common.files import atomic_folder
from lmidiff.common.jobs import job
from lmidiff.data.nifti import write_nifti
from lmidiff.data.volumes import read_affine, read_array
from lmidiff.evaluation.segmentation import KMeansModel, segment

with job(snakemake.log), atomic_folder(Path(snakemake.output[0])) as folder:
    model = KMeansModel.load(snakemake.input.model[0])
    for subject, files in snakemake.params.volumes.items():
        labels = segment(model, read_array(files["image"]), read_array(files["mask"]) > 0)
        write_nifti(folder / f"{subject}_dseg.nii.gz", labels, read_affine(files["image"]))

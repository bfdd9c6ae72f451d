"""Label whole brains with a network that others trained."""

from pathlib import Path

from lmidiff.common.devices import set_up
from lmidiff.common.files import atomic_folder
from lmidiff.common.jobs import job
from lmidiff.common.progress import track
from lmidiff.data.nifti import write_nifti
from lmidiff.data.volumes import Volume, read_affine, read_array
from lmidiff.evaluation.meshnet import MeshNet
from lmidiff.evaluation.network_labels import label_whole

with job(snakemake.log), atomic_folder(Path(snakemake.output[0])) as folder:
    params = snakemake.params
    set_up(params.threads)
    network = MeshNet(Path(params.network).parent)
    for subject, file in track(params.volumes.items(), "label"):
        volume = Volume(read_array(file), read_affine(file), file)
        labels = label_whole(network, volume)
        write_nifti(folder / f"{subject}_dseg.nii.gz", labels, volume.affine)

"""Find the brain in a subject's raw scans, correct them and lay them over the reference."""

from lmidiff.common.devices import set_up
from lmidiff.common.jobs import job
from lmidiff.data.align import align_subject, write_aligned, write_transform
from lmidiff.data.quality import write_quality
from lmidiff.data.volumes import read_volume
from lmidiff.figures.alignment_check import draw_quality

with job(snakemake.log):
    params, made, person = snakemake.params, snakemake.output, snakemake.wildcards.subject
    set_up(1)
    scans = {
        name: read_volume(path, subject=person, role=name, flat=name in ("labels", "mask"))
        for name, path in params.scans.items()
    }
    labels, mask = scans.pop("labels", None), scans.pop("mask", None)
    subject = align_subject(scans, params.reference, mask, labels)
    draw_quality(subject, person, made.picture)
    write_quality(made.quality, person, params.reference, subject.quality)
    moving = [name for name in params.modalities if name != params.reference]
    for name, path in zip(moving, made.transforms, strict=True):
        write_transform(path, subject.transforms[name])
    images = dict(zip(params.modalities, made.images, strict=True))
    write_aligned(subject, images, made.mask, *made.labels)

# Where scores and pictures come from: the whole study, trained models, or a recorded run.
if "recorded" in config:

    include: "recorded.smk"

else:

    include: "fetch.smk"
    include: "align.smk"
    include: "masks.smk"
    include: "data.smk"

    if "checkpoints" in config:

        include: "checkpoints.smk"

    else:

        include: "train.smk"
    include: "translate.smk"
    include: "segment.smk"
    include: "extracts.smk"
    include: "samples.smk"

# The segmenter, K-Means fitted on the target's training images, and the labels it gives to every
# translated volume.


rule train_segmenter:
    input:
        target=study.volumes("train", study.target),
        masks=study.volumes("train", MASK),
        code=code("train_segmenter.py"),
    output:
        paths.kmeans,
    log:
        f"{OUT}/logs/train/kmeans.log",
    group:
        "fit"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.fit()),
    params:
        clusters=config["segmentation"]["clusters"],
        seed=study.seed,
        modality=study.target,
        field=study.segmented,
        images=study.field,
    script:
        "../scripts/train_segmenter.py"


rule segment:
    input:
        shards=shard_folders,
        masks=study.volumes("test", MASK),
        model=rules.train_segmenter.output,
        code=code("segment.py"),
    output:
        directory(paths.segmentations("{method}", "{source}")),
    log:
        f"{OUT}/logs/segment/{{method}}_from-{{source}}.log",
    benchmark:
        f"{OUT}/cost/segment/{{method}}_from-{{source}}.tsv"
    group:
        "evaluate"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.score()),
    params:
        volumes=lambda w: study.translations(w.method, w.source),
    script:
        "../scripts/segment.py"

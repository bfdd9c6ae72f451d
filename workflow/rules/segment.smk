# The segmenter, K-Means fitted on the target's training images of a fold, and the labels it gives to
# every translated volume.


rule train_segmenter:
    input:
        target=lambda w: study.people.volumes(
            "train", study.target, fold_of_run(w.segmenter)
        ),
        masks=lambda w: study.people.volumes("train", MASK, fold_of_run(w.segmenter)),
        code=code("train_segmenter.py"),
    output:
        paths.segmenter("{segmenter}"),
    log:
        f"{OUT}/logs/train/{{segmenter}}.log",
    wildcard_constraints:
        segmenter=repeatable([KMEANS]),
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
        field=study.people.segmented,
        images=study.people.field,
    script:
        "../scripts/train_segmenter.py"


rule segment:
    input:
        shards=shard_folders,
        masks=lambda w: [
            paths.volume(person, MASK) for person in study.rows.tested(w.method)
        ],
        model=lambda w: [study.rows.segmenter(w.method)],
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

# K-Means labels of every translated volume, by the segmenter of the target modality.


rule segment:
    input:
        shards=shard_folders,
        masks=study.volumes("test", MASK),
        model=rules.train_segmenter.output,
        code=code("segment.py"),
    output:
        directory(f"{OUT}/segmentations/{{method}}/from-{{source}}"),
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

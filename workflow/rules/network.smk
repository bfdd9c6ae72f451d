# A segmenter that others trained on T1w, on the whole brains of the test people: what it makes of
# each translation, against what it makes of the true target.


rule preprocess_whole:
    input:
        files=lambda w: study.people.preprocess_files(w.subject),
        judgements=lambda w: list(study.people.judgements([w.subject]).values()),
        code=code("preprocess.py"),
    output:
        files=whole.volumes("{subject}"),
    log:
        f"{OUT}/logs/preprocess_whole/{{subject}}.log",
    benchmark:
        f"{OUT}/cost/network/preprocess_{{subject}}.tsv"
    group:
        "preprocess"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.data(1)),
    params:
        scans=lambda w: whole.scans(w.subject),
        grid=whole.grid,
        field=study.people.field,
        every=lambda w: {w.subject: 1},
        percentile=config["data"]["percentile"],
        judgements=lambda w: study.people.judgements([w.subject]),
        flagged=config["data"].get("flagged", "stop"),
    script:
        "../scripts/preprocess.py"


use rule translate as translate_whole with:
    input:
        weights=lambda w: study.rows.weights_of(w.method, w.source),
        tuned=lambda w: study.rows.tuning_file(w.method),
        source=lambda w: study.translation_inputs(
            w.method, w.source, int(w.shard), whole.paths
        ),
        answers=lambda w: study.answers(w.method, int(w.shard), whole.paths),
        code=code("translate.py", lambda w: study.rows.modules_of(w.method)),
    output:
        directory(whole.paths.shard("{method}", "{source}", "{shard}")),
    log:
        f"{OUT}/logs/translate_whole/{{method}}_from-{{source}}_shard-{{shard}}.log",
    benchmark:
        f"{OUT}/cost/network/translate_{{method}}_from-{{source}}_shard-{{shard}}.tsv"
    # In no group: between it and the scores, which are in one, the labels are jobs by themselves.
    group:
        lambda w: None
    resources:
        **asks(
            lambda w: needs.translate(w.method, w.source, int(w.shard), whole.depth),
            lambda w: study.translation_threads(w.method),
            lambda w: needs.uses_network(w.method, w.source),
        ),


rule label_translations:
    input:
        shards=lambda w: study.shard_folders(w.method, w.source, whole.paths),
        network=study.people.downloads.stand_ins(whole.network.files),
        code=code("label_whole.py"),
    output:
        directory(whole.paths.segmentations("{method}", "{source}")),
    log:
        f"{OUT}/logs/label_translations/{{method}}_from-{{source}}.log",
    benchmark:
        f"{OUT}/cost/network/label_{{method}}_from-{{source}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    resources:
        **asks(lambda w: needs.label_whole(), THREADS),
    params:
        volumes=lambda w: whole.translations(w.method, w.source),
        network=study.people.downloads.place(whole.network.files[0]),
        threads=THREADS,
    script:
        "../scripts/label_whole.py"


use rule label_translations as label_targets with:
    input:
        volumes=list(whole.targets().values()),
        network=study.people.downloads.stand_ins(whole.network.files),
        code=code("label_whole.py"),
    output:
        directory(whole.true_labels),
    log:
        f"{OUT}/logs/label_targets.log",
    benchmark:
        f"{OUT}/cost/network/label_targets.tsv"
    params:
        volumes=whole.targets(),
        network=study.people.downloads.place(whole.network.files[0]),
        threads=THREADS,


rule score_network:
    input:
        found=whole.paths.segmentations("{method}", "{source}"),
        wanted=whole.true_labels,
        masks=lambda w: [
            whole.paths.volume(s, MASK) for s in study.rows.tested(w.method)
        ],
        code=code("score_network.py"),
    output:
        paths.scores("{method}", "{source}", "network"),
    log:
        f"{OUT}/logs/score_network/{{method}}_from-{{source}}.log",
    group:
        "evaluate"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.score()),
    params:
        subjects=lambda w: study.rows.tested(w.method),
        labels=dict(whole.network.labels),
        extent=config["data"]["grid"]["extent"],
        names=lambda w: names_of(w.method, w.source),
    script:
        "../scripts/score_network.py"

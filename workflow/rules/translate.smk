# One job per method, source modality and shard of test subjects.


rule tune_method:
    # No image of any source: the settings of a zero-shot row know the target alone.
    input:
        weights=lambda w: study.rows.weights_of(w.method, study.sources[0]),
        target=lambda w: study.people.volumes(
            "val", study.target, fold_of_run(w.method)
        ),
        masks=lambda w: study.people.volumes("val", MASK, fold_of_run(w.method)),
        code=code("tune.py", lambda w: study.rows.modules_of(w.method)),
    output:
        chosen=paths.tuning("{method}", "json"),
        table=paths.tuning("{method}", "csv"),
    log:
        f"{OUT}/logs/tune/{{method}}.log",
    benchmark:
        f"{OUT}/cost/tune/{{method}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    resources:
        **asks(
            lambda w: needs.tune(w.method),
            THREADS,
            lambda w: needs.uses_network(w.method, study.sources[0]),
        ),
    params:
        method=lambda w: study.rows.block(w.method, study.sources[0]),
        contrast=config["model_defaults"]["contrast"],
        grid=lambda w: study.rows.tune(w.method),
        seed=lambda w: study.rows.seed_of(w.method),
        device=config["device"],
        threads=THREADS,
        batch_size=config["translation"]["batch_size"],
    script:
        "../scripts/tune.py"


rule translate:
    input:
        weights=lambda w: study.rows.weights_of(w.method, w.source),
        tuned=lambda w: study.rows.tuning_file(w.method),
        source=lambda w: study.translation_inputs(w.method, w.source, int(w.shard)),
        answers=lambda w: study.answers(w.method, int(w.shard)),
        code=code("translate.py", lambda w: study.rows.modules_of(w.method)),
    output:
        directory(paths.shard("{method}", "{source}", "{shard}")),
    log:
        f"{OUT}/logs/translate/{{method}}_from-{{source}}_shard-{{shard}}.log",
    benchmark:
        f"{OUT}/cost/translate/{{method}}_from-{{source}}_shard-{{shard}}.tsv"
    group:
        lambda w: None if needs.uses_network(w.method, w.source) else "evaluate"
    conda:
        "../../envs/environment.yaml"
    threads: lambda w: study.translation_threads(w.method)
    resources:
        **asks(
            lambda w: needs.translate(w.method, w.source, int(w.shard)),
            lambda w: study.translation_threads(w.method),
            lambda w: needs.uses_network(w.method, w.source),
        ),
    params:
        method=lambda w: study.rows.block(w.method, w.source),
        target=study.target,
        seed=lambda w: study.rows.seed_of(w.method),
        device=config["device"],
        threads=THREADS,
        batch_size=config["translation"]["batch_size"],
    script:
        "../scripts/translate.py"

# One job per method, source modality and shard of test subjects.


rule tune_method:
    input:
        weights=lambda w: study.weights_of(w.method, w.source),
        source=lambda w: study.volumes("val", w.source),
        target=study.volumes("val", study.target),
        masks=study.volumes("val", MASK),
        code=lambda w: code("tune.py", *study.method_modules(w.method)),
    output:
        chosen=f"{OUT}/tuning/{{method}}_from-{{source}}.json",
        table=f"{OUT}/tuning/{{method}}_from-{{source}}.csv",
    log:
        f"{OUT}/logs/tune/{{method}}_from-{{source}}.log",
    benchmark:
        f"{OUT}/cost/tune/{{method}}_from-{{source}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    resources:
        gpu=lambda w: gpus(study.model_of(w.method, w.source)),
    params:
        method=lambda w: study.method_block(w.method, w.source),
        grid=lambda w: study.methods[w.method]["tune"],
        seed=study.seed,
        device=config["device"],
        threads=THREADS,
        batch_size=config["translation"]["batch_size"],
    script:
        "../scripts/tune.py"


rule translate:
    input:
        weights=lambda w: study.weights_of(w.method, w.source),
        tuned=lambda w: study.tuning_file(w.method, w.source),
        source=lambda w: study.translation_inputs(w.method, w.source, int(w.shard)),
        code=lambda w: code("translate.py", *study.method_modules(w.method)),
    output:
        directory(study.shard_folder("{method}", "{source}", "{shard}")),
    log:
        f"{OUT}/logs/translate/{{method}}_from-{{source}}_shard-{{shard}}.log",
    benchmark:
        f"{OUT}/cost/translate/{{method}}_from-{{source}}_shard-{{shard}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda w: study.translation_threads(w.method)
    resources:
        gpu=lambda w: gpus(study.model_of(w.method, w.source)),
    params:
        method=lambda w: study.method_block(w.method, w.source),
        target=study.target,
        seed=study.seed,
        device=config["device"],
        threads=THREADS,
        batch_size=config["translation"]["batch_size"],
    script:
        "../scripts/translate.py"

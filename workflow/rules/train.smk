# One job a model. Its inputs are the files of the roles its family declares, and no others.


rule train_model:
    input:
        unpack(lambda w: study.models.files(w.model)),
        code=code("train.py", lambda w: [study.models.module_of(w.model)]),
    output:
        weights=paths.model("{model}"),
        config=paths.model("{model}", "config.json"),
        curve=paths.model("{model}", "curve.csv"),
        previews=paths.model("{model}", "previews.npz"),
    log:
        f"{OUT}/logs/train/{{model}}.log",
    benchmark:
        f"{OUT}/cost/train/{{model}}.tsv"
    # The longest jobs first: what follows them is short and fills the gaps.
    priority: 10
    group:
        lambda w: None if study.models.is_trained(w.model) else "fit"
    conda:
        "../../envs/environment.yaml"
    threads: lambda w: THREADS * processes(w.model)
    resources:
        **asks(
            lambda w: needs.train(w.model),
            lambda w: THREADS * processes(w.model),
            lambda w: needs.gpus(w.model),
        ),
    params:
        settings=lambda w: study.models.settings(w.model),
        needs=lambda w: sorted(study.models.needs(w.model)),
        images=study.people.images,
        device=config["device"],
        processes=lambda w: processes(w.model),
        threads=THREADS,
        state="results/.state",
    script:
        "../scripts/train.py"

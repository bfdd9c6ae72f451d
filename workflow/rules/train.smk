# One job a model. Its inputs are the files of the roles its family declares, and no others.


rule train_model:
    input:
        unpack(lambda w: study.training_files(w.model)),
        code=lambda w: code("train.py", study.family_module(w.model)),
    output:
        weights=f"{OUT}/models/{{model}}/weights.safetensors",
        config=f"{OUT}/models/{{model}}/config.json",
        curve=f"{OUT}/models/{{model}}/curve.csv",
    log:
        f"{OUT}/logs/train/{{model}}.log",
    benchmark:
        f"{OUT}/cost/train/{{model}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    params:
        settings=lambda w: study.model_settings(w.model),
        needs=lambda w: sorted(study.needs(w.model)),
        device=config["device"],
        threads=THREADS,
        state="results/.state",
    script:
        "../scripts/train.py"

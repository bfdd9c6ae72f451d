# One job a model. Its inputs are the files of the roles its family declares, and no others.


rule train_model:
    input:
        unpack(lambda w: study.training_files(w.model)),
        code=lambda w: code("train.py", study.family_module(w.model)),
    output:
        weights=f"{OUT}/models/{{model}}/weights.safetensors",
        config=f"{OUT}/models/{{model}}/config.json",
        curve=f"{OUT}/models/{{model}}/curve.csv",
        previews=f"{OUT}/models/{{model}}/previews.npz",
    log:
        f"{OUT}/logs/train/{{model}}.log",
    benchmark:
        f"{OUT}/cost/train/{{model}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda w: THREADS * processes(w.model)
    resources:
        gpu=lambda w: gpus(w.model) * processes(w.model),
    params:
        settings=lambda w: study.model_settings(w.model),
        needs=lambda w: sorted(study.needs(w.model)),
        images=study.images,
        device=config["device"],
        processes=lambda w: processes(w.model),
        threads=THREADS,
        state="results/.state",
    script:
        "../scripts/train.py"


rule train_segmenter:
    input:
        target=study.volumes("train", study.target),
        masks=study.volumes("train", MASK),
        code=code("train_segmenter.py"),
    output:
        f"{OUT}/models/kmeans/kmeans.json",
    log:
        f"{OUT}/logs/train/kmeans.log",
    conda:
        "../../envs/environment.yaml"
    params:
        clusters=config["segmentation"]["clusters"],
        seed=study.seed,
    script:
        "../scripts/train_segmenter.py"

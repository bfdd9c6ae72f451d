# In the place of training: models that were trained before, here or elsewhere.
rule take_model:
    input:
        weights=f"{config['checkpoints']}/models/{{model}}/weights.safetensors",
        config=f"{config['checkpoints']}/models/{{model}}/config.json",
        curve=f"{config['checkpoints']}/models/{{model}}/curve.csv",
        code=code("take_model.py"),
    output:
        weights=paths.model("{model}"),
        config=paths.model("{model}", "config.json"),
        curve=paths.model("{model}", "curve.csv"),
    log:
        f"{OUT}/logs/take/{{model}}.log",
    benchmark:
        f"{OUT}/cost/train/{{model}}.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        settings=lambda w: {
            **study.models.settings(w.model),
            "images": study.people.images,
        },
    script:
        "../scripts/take_model.py"

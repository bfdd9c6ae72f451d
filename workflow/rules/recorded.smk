# In the place of all that leads to scores and pictures: the files of a recorded run.
try:
    RESTORED = {
        name: f"{OUT}/{place}" for name, place in restorable(config["recorded"]).items()
    }
except StudyError as error:
    raise WorkflowError(str(error)) from None


# A rule that would make one of these files gives way; what it needs is not here.
workflow.ruleorder("restore", *(rule.name for rule in workflow.rules))


rule restore:
    input:
        files=[f"{config['recorded']}/{name}" for name in RESTORED],
        sums=f"{config['recorded']}/SHA256SUMS",
        code=code("restore.py"),
    output:
        list(RESTORED.values()),
    log:
        f"{OUT}/logs/restore.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        record=config["recorded"],
        files=RESTORED,
        exclude=config["data"].get("exclude", []),
    script:
        "../scripts/restore.py"

# What jobs ask a cluster for. Sizes come from the study, the site's names from the profile.


def of_site(name):
    """A value of the profile's default-resources, or None: partitions and limits are the site's."""
    given = workflow.resource_settings.default_resources
    return given[name].raw if given and name in given else None


needs = Needs(study, costs, of_site("max_runtime"))


def asks(estimate, threads=1, gpus=None):
    """Resources of a rule.

    ``estimate`` maps wildcards to a job's seconds and megabytes, ``gpus`` to how many GPUs its
    network can use; 0 is a job without.
    """

    def networks(wildcards):
        return int(gpus(wildcards)) if gpus else 0

    def cards(wildcards):
        return networks(wildcards) if USES_GPU else 0

    def of_gpu_jobs(name, otherwise=None):
        return lambda wildcards: of_site(name) if cards(wildcards) else otherwise

    def runtime(wildcards, attempt):
        small = not networks(wildcards)
        return needs.minutes(estimate(wildcards)[0], attempt, small=small)

    runtime.seconds = lambda wildcards: estimate(wildcards)[0]
    wanted = {
        "runtime": runtime,
        "mem_mb": lambda wildcards, attempt: needs.megabytes(
            estimate(wildcards)[1], attempt
        ),
        "cpus_per_task": threads,
        "turn": 1,  # jobs of a group take turns: the profile has one
        "gpu": lambda wildcards: cards(wildcards) or None,
    }
    if of_site("gpu_type"):
        wanted["gpu_model"] = of_gpu_jobs("gpu_type")
    if of_site("gpu_partition"):
        partition = of_site("slurm_partition")
        wanted["slurm_partition"] = of_gpu_jobs("gpu_partition", partition)
    return wanted

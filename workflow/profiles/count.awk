# Counts the jobs of a dry run of Snakemake: `make plan`. A group is one job of the cluster; a job
# that asks for cpus_per_task goes to the cluster, any other runs on this machine. Where there is no
# job, all that Snakemake said.
{ said = said $0 "\n" }
/^\[.*\] Group job / { sent++ }
/^ *(local)?rule .*:$/ { jobs++; name = $2; sub(/:$/, "", name) }
/^    resources: .*cpus_per_task=/ { sent++; far++ }
/^        resources: / { far++ }
END {
    if (jobs) printf "%d jobs: %d on this machine, %d on the cluster in %d submissions\n", jobs, jobs - far, far, sent
    else printf "%s", said
}

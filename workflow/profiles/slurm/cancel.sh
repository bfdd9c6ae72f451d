#!/usr/bin/env bash
# usage: cancel.sh STUDY    Cancel the study's jobs that were sent from this folder; wait for their end.
set -euo pipefail
study=${1:?which study}

ours() { # a job's name is STUDY_<id of the run>; its folder may contain spaces
  squeue --me --noheader --format '%A %j %Z' |
    awk -v name="${study}_" -v folder="$PWD" '
      index($2, name) == 1 && substr($0, length($1) + length($2) + 3) == folder { print $1 }'
}

jobs=$(ours)
[ -z "$jobs" ] || scancel --quiet --full $jobs
while [ -n "$(ours)" ]; do sleep 1; done # a training may be writing its checkpoint
echo "cancelled: ${jobs:-no job was left}"

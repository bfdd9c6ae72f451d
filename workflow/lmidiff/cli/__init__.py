"""The commands of ``python -m lmidiff`` that work on one's own scans, one file each."""

"""Which test files stand on the same costly fixture, so that it is made once."""

#: Tests that stand on the same fixture, which takes minutes, go to the same process.
TOGETHER = {
    **dict.fromkeys(("test_workflow.py", "test_report.py"), "finished"),
    **dict.fromkeys(("test_slurm.py", "test_kills.py"), "small"),
}

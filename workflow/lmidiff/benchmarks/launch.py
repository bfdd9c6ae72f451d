"""Run a command, and write what its process used: a file's name, then the command.

Linux counts the memory of a process from that of the one that started it, so a large one cannot
measure a small one. This file imports nothing but the standard library, and is run by its path.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Exit status of the command, as a shell gives it."""
    used_by, *command = sys.argv[1:]
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    measured = {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime}
    Path(used_by).write_text(json.dumps(measured | {"memory_mb": used.ru_maxrss / 1024}))
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(main())

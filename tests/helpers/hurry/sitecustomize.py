"""On the path of a driver under test: it looks after its jobs every second.

Snakemake's Slurm plugin looks 10 s more rarely each time that nothing has ended, which no option
changes, and a test has no time for that.
"""

import asyncio

_sleep = asyncio.sleep


async def _briefly(seconds: float, *result: object) -> object:
    return await _sleep(min(seconds, 0.5), *result)


asyncio.sleep = _briefly

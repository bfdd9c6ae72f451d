"""Memory that ran out, however it is told."""

NOT_ENOUGH = "the memory is not enough; free some, or raise its limit (ulimit -v)"

_TORCH = ("DefaultCPUAllocator", "out of memory")
"""What torch says in a plain RuntimeError, of a processor's memory and of a card's."""


def ran_out(error: BaseException) -> bool:
    """Whether an error is that of too little memory: Python's, numpy's or torch's."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TORCH)

"""Python's garbage collector, told what a server knows."""

import gc

#: Objects made, beyond those gone, until it looks through the young ones. The default, 700, is reached by two
#: requests, of which nothing is left but what reference counts free at once.
_YOUNG = 50_000


def settle() -> None:
    """To be called once a process is set up: what is there by now stays, and need not be looked through again
    (gc.freeze)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)

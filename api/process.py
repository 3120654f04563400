"""What every process sets for itself."""

import gc


def calm_collector() -> None:
    """Have the garbage collector leave what start-up made alone, and look less often at the rest.

    Its default looks at everything that lives with every few thousand new objects, which is a fifth of
    the time of a process that keeps many aggregates or replays a log.
    """
    gc.collect()
    look_less_often()


def look_less_often() -> None:
    """Do the same without looking once more at what there is, which a command that soon ends would not win back."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)

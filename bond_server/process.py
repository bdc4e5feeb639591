"""How a serving process is set up, beyond what the server itself needs."""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 1_000, 2, 400
_BY_THE_WAY = 100_000


def tune_for_serving() -> None:
    """Look for garbage cycles less often, and not among what was imported.

    Python looks at all objects whenever some hundreds are new; a server keeps tens of thousands
    of records, and makes few cycles. This saves a fifth of the cost of a delivery. It looks at the
    newest often, a few thousand at a time: each look costs what it looks at, and everything waits.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


def tune_for_playing() -> None:
    """Look for garbage cycles late, when most of what is read has come and gone.

    A replay makes events by the hundred thousand, and nobody waits for a single one of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BY_THE_WAY, _MIDDLE, _OLD)

"""What is done when memory runs out: the same again in smaller pieces, then an error in words.

The decision hidden here: what counts as a lack of memory, on the host or on a GPU, and that
work is begun again from the start with half as much in each forward pass. So nothing is
counted twice, and what comes out is what the smaller micro-batch would have given at once.
Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from osscar_core.errors import MemoryShortageError

logger = logging.getLogger(__name__)

# How torch and the libraries below it say it, where there is no class of error for it.
_SAID = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")

_T = TypeVar("_T")


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that memory ran out."""
    if isinstance(error, (MemoryError, MemoryShortageError)):
        return True
    # torch's own class is known by name, so that torch need not be imported to recognise it.
    if type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _SAID)


@contextlib.contextmanager
def in_batches_of(size: int) -> Iterator[None]:
    """Say of a lack of memory in the context at which micro-batch it came, for `halving`.

    Raises:
        MemoryShortageError: Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        raise MemoryShortageError.at(size) from error


def halving(work: Callable[[int | None], _T], size: int | None = None) -> _T:
    """Do work, and again with half the micro-batch for as long as memory runs out.

    Args:
        work: Begins afresh at every call, given the items of a micro-batch, or ``None`` to
            choose. Its forward passes are in the context of `in_batches_of`.
        size: Items of a micro-batch at first.

    Returns:
        What the first call returns that memory suffices for.

    Raises:
        MemoryShortageError: It does not suffice for one item either, or something ran out
            of it that micro-batches do not change.
    """
    while True:
        try:
            return work(size)
        except MemoryShortageError as error:
            if error.batch is None or error.batch <= 1:
                raise
            size = error.batch // 2
            logger.warning("memory ran out with micro-batches of %d: now %d", error.batch, size)
        # Only here nothing holds any more what the failed attempt had.
        _let_go()


def _let_go() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

"""Aside: what would hold up others who ask runs in a thread, and they go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

Made = TypeVar("Made")
# a thread of anyio keeps what it was last given until it is given something else: a state that no longer answers, say
LASTING = ThreadPoolExecutor(16, thread_name_prefix="aside")
WRITING = ThreadPoolExecutor(8, thread_name_prefix="write")
LOOKING = ThreadPoolExecutor(4, thread_name_prefix="look")  # of 16, three times as many wait for the interpreter's lock


async def aside(function: Callable[..., Made], *given: Any) -> Made:
    """What the function gives, which may take long."""
    return await _by(LASTING, function, *given)


async def writing(function: Callable[..., Made], *given: Any) -> Made:
    """What the function gives, which waits for its turn to write to the ledger: for as long as others hold it."""
    return await _by(WRITING, function, *given)


async def looking(function: Callable[..., Made], *given: Any) -> Made:
    """What the function gives, which waits for nothing but a look at a server, and in a hurry (`features.patience`)."""
    return await _by(LOOKING, function, *given)


async def _by(threads: Executor, function: Callable[..., Made], *given: Any) -> Made:
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(function, *given))

"""Asynchronous invocations: events wait on disk until a function has handled them, or has failed too often."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from remora.local.deployment import Rule
from remora.local.events import Event, interval, receivers, scheduled
from remora.local.functions import Function, Invocation, PayloadTooLargeError
from remora.local.objects import ObjectTable, PendingEvent

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
# Lambda waits one minute and then two; nobody in front of a terminal would.
_RETRY_SECONDS = (1.0, 2.0)


class AsynchronousInvocations:
    """Invokes functions for events as Lambda does: again if they fail, and whoever is to be told when they give up.

    An event outlives this process. One whose handling a stop has cut short is handled again, so a function may be
    given the same event twice, as it may by Lambda.
    """

    def __init__(self, rules: Iterable[Rule], functions: Mapping[str, Function], table: ObjectTable) -> None:
        """Prepare; nothing is invoked yet.

        Args:
            rules: Which events lead to which functions, and schedules.
            functions: By name.
            table: Where events wait.

        Raises:
            InvalidArgumentError: A schedule cannot be followed.
        """
        self._rules = tuple(rules)
        self._intervals = {rule.name: interval(rule) for rule in self._rules}
        self._functions = functions
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._new = asyncio.Event()

    def receivers(self, event: Event) -> list[str]:
        """Return the names of the functions that are to handle an event."""
        return receivers(self._rules, event)

    def wake(self) -> None:
        """Say, from any thread, that there are new events in the table."""
        self._loop.call_soon_threadsafe(self._new.set)

    async def run(self) -> None:
        """Invoke functions until cancelled: on schedule, and for the events in the table, an earlier run's first."""
        async with asyncio.TaskGroup() as tasks:
            for rule in self._rules:
                seconds = self._intervals[rule.name]
                if seconds is not None:
                    tasks.create_task(self._follow(rule, seconds))
            last = 0
            while True:
                self._new.clear()
                for pending in await self._with_table(partial(self._table.pending_events, last)):
                    last = pending.id
                    tasks.create_task(self._settle(pending))
                await self._new.wait()

    async def _follow(self, rule: Rule, seconds: float) -> None:
        """Invoke the functions of a schedule, at once and then after each interval."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                payload = json.dumps(scheduled(rule))
                for function in rule.functions:
                    tasks.create_task(self._handle(function, payload, attempts=0, failed=None))
                await asyncio.sleep(seconds)

    async def _settle(self, pending: PendingEvent) -> None:
        if pending.function in self._functions:
            await self._handle(
                pending.function,
                pending.payload,
                attempts=pending.attempts,
                failed=partial(self._table.count_attempt, pending.id),
            )
        await self._with_table(partial(self._table.settle_event, pending.id))

    async def _handle(self, name: str, payload: str, *, attempts: int, failed: Callable[[], None] | None) -> None:
        """Invoke a function until it has handled an event, or has failed as often as it may."""
        function = self._functions[name]
        retries = function.settings.retries
        while True:
            invocation = await _invoke(function, payload)
            if not invocation.failed:
                return
            attempts += 1
            if failed is not None:
                await self._with_table(failed)
            error = json.loads(invocation.payload).get("errorType")
            if attempts > retries:
                logger.error("%s failed %d times and gives up: %s", name, attempts, error)
                break
            logger.warning("%s failed and is tried again: %s", name, error)
            await asyncio.sleep(_RETRY_SECONDS[min(attempts, len(_RETRY_SECONDS)) - 1])
        told = function.settings.on_failure
        if told is not None:
            record = json.dumps(_record(function, payload, invocation, attempts))
            await self._handle(told, record, attempts=0, failed=None)

    async def _with_table(self, call: Callable[[], _T]) -> _T:
        """Run a call of the table in a thread, as a request may hold the table for a while."""

        def locked() -> _T:
            with self._table.lock:
                return call()

        return await asyncio.to_thread(locked)


async def _invoke(function: Function, payload: str) -> Invocation:
    try:
        return await function.invoke(payload.encode())
    except PayloadTooLargeError:
        return Invocation.failure("RequestEntityTooLarge", "The event is larger than Lambda accepts.")


def _record(function: Function, payload: str, invocation: Invocation, attempts: int) -> dict[str, Any]:
    """Return what a destination is told of an event that was given up.

    Format: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": json.loads(invocation.payload).get("requestId", ""),
            "functionArn": f"{function.settings.arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": json.loads(payload),
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": json.loads(invocation.payload),
    }

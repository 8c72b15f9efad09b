"""The upkeep: what has to be done from time to time, each part apart from the others and fit to be repeated.

It finishes writes that were cut short, removes what purges have left behind (once a day), goes on with the backup of
the period, and counts what there is. One space's trouble is not another's, and one part's is not the next one's.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from remora.chroma.census import Census
from remora.chroma.deadline import Deadline
from remora.errors import ConflictError, RemoraError
from remora.periods import BackupPeriod
from remora.spaces import Spaces

logger = logging.getLogger(__name__)

_PRINCIPAL = "upkeep"
_CENSUS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What an upkeep found and did.

    Attributes:
        census: What Chroma holds; None if it did not say.
        unfinished: Intents that were there at the beginning.
        finished: Memories whose writes were finished.
        swept: Purged memories of which something was left.
        backed_up: Spaces whose backup of the period was completed now.
        failures: Parts of the work that failed, and will be tried again by the next upkeep.
    """

    census: Census | None
    unfinished: int
    finished: int
    swept: int
    backed_up: int
    failures: int


class Upkeep:
    """Does the upkeep of all spaces."""

    def __init__(
        self,
        spaces: Spaces,
        *,
        backups: BackupPeriod,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Note where the spaces are.

        Args:
            spaces: The spaces.
            backups: How often they are backed up.
            clock: Tells the time.
        """
        self._spaces = spaces
        self._backups = backups
        self._clock = clock
        self._failures = 0

    async def run(self, *, deadline: Deadline) -> UpkeepReport:
        """Do what is due, as far as there is time.

        Raises:
            UnavailableError: The journal could not even be listed.
        """
        self._failures = 0
        census = await self._census(deadline)
        intents = await self._spaces.unfinished_writes(deadline=deadline)
        finished = sum([await self._finish(space, deadline) for space in intents])
        names = await self._spaces.names(deadline=deadline)
        today = self._clock().date()
        swept = await self._sweep(names, today, deadline)
        backed_up = 0
        if self._backups is not BackupPeriod.OFF:
            first_day = self._backups.first_day(today)
            backed_up = sum([await self._back_up(space, first_day, deadline) for space in names])
        return UpkeepReport(census, sum(intents.values()), finished, swept, backed_up, self._failures)

    async def _census(self, deadline: Deadline) -> Census | None:
        soon = Deadline.after(min(_CENSUS_SECONDS, deadline.remaining()))
        try:
            return await self._spaces.census(deadline=soon)
        except RemoraError as error:
            # Not counted among the failures: whether Chroma answers is reported by itself.
            logger.error("Chroma did not answer", extra={"reason": str(error)})
            return None

    async def _finish(self, space: str, deadline: Deadline) -> int:
        try:
            finished = await self._spaces.memory(space, _PRINCIPAL).finish_abandoned(deadline=deadline)
        except RemoraError as error:
            return self._failed("Unfinished writes stay unfinished", space, error)
        logger.info("Finished writes", extra={"space": space, "memories": finished})
        return finished

    async def _sweep(self, names: list[str], today: date, deadline: Deadline) -> int:
        """Sweep all spaces, if that was not done today."""
        done = f"upkeep/swept-{today.isoformat()}.json"
        if await self._spaces.files.get(done, deadline=deadline) is not None:
            return 0
        swept, failures = 0, self._failures
        for space in names:
            try:
                found = await self._spaces.sweep(space, deadline=deadline)
            except RemoraError as error:
                self._failed("Purged memories were not looked after", space, error)
                continue
            if found:
                logger.warning("Removed what purges had left", extra={"space": space, "memories": found})
            swept += found
        if self._failures == failures:
            await self._spaces.files.create(done, b"{}", deadline=deadline)
        return swept

    async def _back_up(self, space: str, first_day: date, deadline: Deadline) -> int:
        try:
            backup, written = await self._spaces.backups(space, _PRINCIPAL).carry_on(first_day, deadline=deadline)
        except ConflictError as error:
            logger.warning("Backup left alone", extra={"space": space, "reason": str(error)})
            return 0
        except RemoraError as error:
            return self._failed("Backup not written", space, error)
        if not written:
            return 0
        logger.info(
            "Backup", extra={"space": space, "parts": backup.parts, "lines": backup.lines, "done": backup.done}
        )
        return int(backup.done)

    def _failed(self, what: str, space: str, error: RemoraError) -> int:
        self._failures += 1
        logger.error(what, extra={"space": space, "reason": str(error)})
        return 0

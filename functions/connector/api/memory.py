"""The API's routes for the memory as a whole: export, import, rebuild, status."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from connector.api.access import Call, call_with
from connector.api.problems import BodyTooLargeError
from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError
from remora.spaces import Spaces
from remora.transfer.models import CollectionReport, ImportReport, RebuildProgress

MEDIA_TYPE = "application/jsonl"
NEXT_CURSOR = "Remora-Next-Cursor"
MAX_IMPORT_BYTES = 5 * 1024 * 1024
"""Of one request. Lambda takes 6 MB, in which quotes and other characters of the body may count twice."""

# Past the deadline a service has this long to say what was done before it is cut off.
_GRACE_SECONDS = 0.75

Reader = Annotated[Call, Depends(call_with(Scope.READ))]
Writer = Annotated[Call, Depends(call_with(Scope.WRITE))]
Copier = Annotated[Call, Depends(call_with(Scope.READ, Scope.WRITE))]
Administrator = Annotated[Call, Depends(call_with(Scope.ADMIN))]
Cursor = Annotated[str | None, Query(description="`Remora-Next-Cursor` of the answer before; none to begin")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CollectionImport(_Body):
    """Which records of a collection to make memories of."""

    collection: str = Field(description="Its name")
    cursor: str | None = Field(default=None, description="`next_cursor` of the answer before; none to begin")


class Rebuild(_Body):
    """Where to go on with a rebuild."""

    cursor: str | None = Field(default=None, description="`next_cursor` of the answer before; none to begin")
    fresh: bool = Field(default=False, description="Begin by removing the whole index; only without a cursor")


class MemoryStatus(_Body):
    """A space, as its memory stands.

    Attributes:
        space: The space.
        memories: Memories that can be searched.
        passages: Passages that they are indexed as.
        pending: Writes that are kept safely and not searchable yet.
        scopes: What this key may do.
    """

    space: str
    memories: int
    passages: int
    pending: int
    scopes: tuple[str, ...]


def memory_routes(spaces: Spaces) -> APIRouter:
    """Return the routes.

    Args:
        spaces: Where they work.
    """
    routes = APIRouter(tags=["memory"])

    @routes.get("/export", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
    async def export(call: Reader, cursor: Cursor = None, embeddings: bool = False) -> Response:
        """Return the next lines of an export, as JSON Lines; all answers' bodies together are the file.

        The header `Remora-Next-Cursor` is the `cursor` of the next call; without it the export is complete.
        """
        async with _within(call):
            page = await spaces.transfer(call.principal.space, call.principal.id).export_page(
                cursor, embeddings=embeddings, deadline=call.deadline
            )
        headers = {NEXT_CURSOR: page.next_cursor} if page.next_cursor is not None else None
        return Response("".join(f"{line}\n" for line in page.lines), headers=headers, media_type=MEDIA_TYPE)

    @routes.post(
        "/import", openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {}}}}}
    )
    async def import_(call: Writer, request: Request) -> ImportReport:
        """Import a file or a part of one, as JSON Lines of up to 5 MB; sending it again changes nothing.

        `lines` in the answer says how many lines were done; send those after them in the next call.
        """
        lines = await _lines(request)
        async with _within(call):
            return await spaces.transfer(call.principal.space, call.principal.id).import_lines(
                lines, deadline=call.deadline
            )

    @routes.post("/import-collection")
    async def import_collection(call: Copier, body: CollectionImport) -> CollectionReport:
        """Make memories of some records of a Chroma collection in the same space."""
        async with _within(call):
            return await spaces.transfer(call.principal.space, call.principal.id).import_collection(
                body.collection, body.cursor, deadline=call.deadline
            )

    @routes.post("/rebuild")
    async def rebuild(call: Administrator, body: Rebuild) -> RebuildProgress:
        """Make the index agree with the journal, one step of it; may be interrupted and repeated."""
        async with _within(call):
            return await spaces.transfer(call.principal.space, call.principal.id).rebuild(
                body.cursor, fresh=body.fresh, deadline=call.deadline
            )

    @routes.get("/status")
    async def status(call: Reader) -> MemoryStatus:
        """Tell how many memories the space has, and what this key may do."""
        async with _within(call):
            overview = await spaces.memory(call.principal.space, call.principal.id).overview(deadline=call.deadline)
        return MemoryStatus(
            space=call.principal.space,
            memories=overview.memories,
            passages=overview.passages,
            pending=overview.pending,
            scopes=tuple(sorted(call.principal.scopes)),
        )

    return routes


def _within(call: Call) -> asyncio.Timeout:
    """Cut off what does not keep its deadline."""
    return asyncio.timeout(call.deadline.remaining() + _GRACE_SECONDS)


async def _lines(request: Request) -> list[str]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_IMPORT_BYTES:
            raise BodyTooLargeError(f"The body is larger than {MAX_IMPORT_BYTES} bytes. Send fewer lines at once.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidArgumentError("The body is not UTF-8. Send JSON Lines in UTF-8.") from None
    # Not splitlines: JSON may hold other characters that it takes for ends of lines.
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]

"""The tool that takes documents into the memory."""

import binascii
from base64 import b64decode
from typing import Annotated, Any, Literal

from pydantic import Field

from connector.tools.memory import rendering
from connector.tools.memory.arguments import MemoryArguments, NewMetadata, Tags
from connector.tools.tool import Call, Tool
from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError
from remora.ingest.jobs import Ingestion


class _Ingest(MemoryArguments):
    source: Annotated[str | None, Field(description="File name with its ending, such as plan.pdf")] = None
    content: str | None = None
    encoding: Annotated[Literal["text", "base64"], Field(description="Of content; base64 for PDF and DOCX")] = "text"
    id: Annotated[str | None, Field(description="Of an ingestion: how far it is")] = None
    tags: Tags = None
    type: str | None = None
    metadata: NewMetadata = None


def _bytes(content: str, encoding: str) -> bytes:
    if encoding == "text":
        try:
            return content.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                "content is not valid Unicode: it holds half of a surrogate pair. Send complete characters."
            ) from None
    try:
        return b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgumentError(
            "content is not base64. Send the file's bytes in standard base64, or plain text with encoding=text."
        ) from None


async def _ingest(call: Call, arguments: _Ingest) -> Ingestion:
    if arguments.id is not None:
        if arguments.source is not None or arguments.content is not None:
            raise InvalidArgumentError("id asks how far an ingestion is; give it without source and content.")
        return await call.ingestion.status(arguments.id, deadline=call.deadline)
    if arguments.source is None:
        raise InvalidArgumentError(
            "source names the document, such as plan.pdf; its ending says the format. Give it with content to ingest "
            "now, or alone for a URL to upload the file to. Give id alone to see how far an ingestion is."
        )
    tags, metadata = arguments.tags or (), arguments.metadata or {}
    if arguments.content is None:
        return await call.ingestion.upload(
            arguments.source, tags=tags, type=arguments.type, metadata=metadata, deadline=call.deadline
        )
    return await call.ingestion.ingest(
        arguments.source,
        _bytes(arguments.content, arguments.encoding),
        tags=tags,
        type=arguments.type,
        metadata=metadata,
        deadline=call.deadline,
    )


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="memory_ingest",
        title="Take in a document",
        description=(
            "Take a document into the memory: text, Markdown, HTML, PDF, DOCX, CSV, JSON. source with content: now; "
            "source alone: answers a URL to upload the file to; id alone: progress. memory_delete with its source "
            "removes it."
        ),
        scope=Scope.WRITE,
        arguments=_Ingest,
        result=Ingestion,
        run=_ingest,
        render=rendering.ingestion,
        # Each call for an upload makes a new one.
        idempotent=False,
    ),
)

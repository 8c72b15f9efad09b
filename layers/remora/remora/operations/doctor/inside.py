"""Looks at a deployment with a key: the authorizer, the tools, Chroma, and a memory's way in and out."""

import secrets
import statistics
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from remora.errors import UnavailableError
from remora.operations.doctor.findings import Check, Finding, broken, ok, skipped, warning
from remora.operations.doctor.http import Answer, Http
from remora.operations.doctor.outside import Place

DOCTOR_SPACE: Final = "remora-doctor"
"""Space in which a key with the scope admin tries a memory out."""

_CALLS = 3
_SLOW_SECONDS = 2.0
_MOST_SKEW = timedelta(minutes=5)


class Inside:
    """The view with a key.

    Args:
        place: Where the deployment is called.
        http: Calls it.
        key: The operator's key; None if there is none.
        writes: Whether a memory may be stored and purged.
    """

    def __init__(self, place: Place, http: Http, key: str | None, *, writes: bool) -> None:
        self._url = f"{place.url}/mcp"
        self._http = http
        self._key = key
        self._writes = writes
        self._tools: frozenset[str] = frozenset()

    def checks(self) -> tuple[Check, ...]:
        """Return what there is to look at."""
        if self._key is None:
            reason = "no key was given: set REMORA_KEY, or answer --ask-key"
            return tuple(
                Check(name, lambda name=name: [skipped(name, reason)])  # type: ignore[misc]
                for name in ("authorizer", "Chroma", "memory")
            )
        return (
            Check("authorizer", self._authorizer),
            Check("Chroma", self._chroma),
            Check("memory", self._memory),
        )

    def _authorizer(self) -> Iterable[Finding]:
        answer = self._http.rpc(self._url, "tools/list", {}, self._key)
        advice = _ADVICE.get(answer.status)
        if advice is not None:
            return [broken("authorizer", f"the key is answered with {answer.status}", advice)]
        tools = _result(answer).get("tools", ())
        self._tools = frozenset(tool["name"] for tool in tools if isinstance(tool, dict) and "name" in tool)
        return [
            ok("authorizer", f"the key is accepted, and offered {len(tools)} tools in {answer.seconds * 1000:.0f} ms")
        ]

    def _chroma(self) -> Iterator[Finding]:
        if "chroma_server_info" not in self._tools:
            yield skipped("Chroma", "this key is not offered chroma_server_info (scope read)")
            return
        seconds: list[float] = []
        info: Mapping[str, Any] = {}
        for _ in range(_CALLS):
            answer = self._http.rpc(
                self._url, "tools/call", {"name": "chroma_server_info", "arguments": {}}, self._key
            )
            info = _structured(answer)
            seconds.append(answer.seconds)
        middle = statistics.median(seconds)
        # The Rust server tells the version of its API, which is 1.0.0 whatever its own is.
        said = f"API version {info.get('version')}, answers through the connector in {middle * 1000:.0f} ms"
        if middle > _SLOW_SECONDS:
            yield warning("Chroma", said, "Look at the server's processor credits, memory and disk.")
        else:
            yield ok("Chroma", said)
        skew = abs(datetime.fromtimestamp(int(info.get("heartbeat_ns", 0)) / 1e9, UTC) - datetime.now(UTC))
        said = f"{skew.total_seconds():.0f} s apart from this machine's"
        if skew > _MOST_SKEW:
            yield warning("Chroma's clock", said, "Restart the server; it keeps time by itself.")
        else:
            yield ok("Chroma's clock", said)

    def _memory(self) -> Iterable[Finding]:
        if not self._writes:
            return [skipped("memory", "nothing is written unless --write is given")]
        missing = {"memory_store", "memory_search", "memory_delete"} - self._tools
        if missing:
            return [
                skipped("memory", f"this key is not offered {', '.join(sorted(missing))} (scopes read and write)")
            ]
        space = self._space()
        word = f"doctor{secrets.token_hex(8)}"
        stored = self._call(
            "memory_store", {"content": f"Remora was examined: {word}", "tags": ["remora-doctor"]}, space
        )
        memories = stored.get("memories", ())
        identity = memories[0].get("id") if memories else None
        try:
            found = self._call("memory_search", {"query": word}, space)
            seen = word in str(found)
        finally:
            if identity:
                self._call("memory_delete", {"ids": [identity], "purge": True, "confirm": True}, space)
        where = f"space {space}" if space else "the key's own space"
        if not seen:
            return [
                broken("memory", f"what was stored in {where} is not found", "`remora memory rebuild`, and the logs.")
            ]
        return [ok("memory", f"stored, found and purged in {where}")]

    def _space(self) -> str | None:
        """Return the space of its own to try in, where the key may name one."""
        answer = self._http.rpc(self._url, "tools/list", {}, self._key, DOCTOR_SPACE)
        return DOCTOR_SPACE if answer.status == 200 and "result" in answer.document() else None

    def _call(self, tool: str, arguments: Mapping[str, Any], space: str | None) -> Mapping[str, Any]:
        answer = self._http.rpc(self._url, "tools/call", {"name": tool, "arguments": arguments}, self._key, space)
        return _structured(answer)


_ADVICE: Final[Mapping[int, str]] = {
    401: "It is not a key of this deployment, or revoked or expired. `remora key list` shows which are there.",
    403: "Its usage key is not in the plan of its tier. Any `remora key set` of the principal mends that.",
    429: "Its limits are used up. Wait, or give it a higher tier: `remora key set ID --tier heavy`.",
    500: "The authorizer or the connector failed. `remora logs --errors` says why.",
    502: "The connector failed. `remora logs --errors --function connector` says why.",
    504: "The connector took longer than 29 seconds: it does not reach Chroma, perhaps.",
}


def _result(answer: Answer) -> Mapping[str, Any]:
    document = answer.document()
    result = document.get("result")
    if answer.status != 200 or not isinstance(result, dict):
        error = document.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        raise UnavailableError(f"The deployment answered {answer.status}: {str(message)[:200]}")
    return result


def _structured(answer: Answer) -> Mapping[str, Any]:
    result = _result(answer)
    content = result.get("structuredContent")
    if result.get("isError") or not isinstance(content, dict):
        said = " ".join(str(part.get("text", "")) for part in result.get("content", ()) if isinstance(part, dict))
        raise UnavailableError(f"A tool failed: {said[:200]}")
    return content

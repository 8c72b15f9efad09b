"""Work that takes longer than a call, from the upload to the answer: documents, exports, imports."""

import json
import time
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import ConnectAs, structured
from tests.support.local_stack import LocalStack
from tests.unit.ingest.files import pdf

pytestmark = pytest.mark.anyio

_SECONDS = 90.0


def api(http: httpx2.Client, stack: LocalStack, method: str, path: str, **body: Any) -> dict[str, Any]:
    """Call the REST API and return its answer."""
    answer = http.request(method, f"{stack.stage_url}/api/memory/{path}", json=body or None)
    assert answer.status_code < 300, answer.text
    document: dict[str, Any] = answer.json()
    return document


def wait_until_ended(http: httpx2.Client, stack: LocalStack, job_id: str) -> dict[str, Any]:
    """Ask how far a job is until it has ended."""
    deadline = time.monotonic() + _SECONDS
    while True:
        job = api(http, stack, "GET", f"jobs/{job_id}")
        if job["status"] in {"done", "failed"}:
            return job
        assert time.monotonic() < deadline, (job, stack.output()[-2000:])
        time.sleep(0.1)


async def test_a_document_is_uploaded_read_searched_and_removed(
    connect: ConnectAs, http: httpx2.Client, stack: LocalStack
) -> None:
    async with connect("legacy") as client:
        asked = structured(await client.call_tool("memory_ingest", {"source": "lighthouses.pdf", "tags": ["coast"]}))
        assert asked["status"] == "awaiting_upload"
        pages = [
            " ".join([f"Lighthouse number {number} was built of {number} stones."] * 25) for number in range(1, 12)
        ]
        sent = httpx2.put(
            asked["upload"]["url"], content=pdf([*pages, "The keeper of the last one is called Ottilie."])
        )
        assert sent.status_code == 200, sent.text
        job = wait_until_ended(http, stack, asked["id"])
        assert job["status"] == "done", job
        told = structured(await client.call_tool("memory_ingest", {"id": asked["id"]}))
        assert told["stored"] == told["chunks"] == job["total"] > 0

        query = {"query": "Who keeps the last lighthouse?", "tags": ["coast"], "limit": 1}
        (hit,) = structured(await client.call_tool("memory_search", query))["hits"]
        assert "Ottilie" in hit["passage"]
        assert (hit["source"], hit["metadata"]["page"]) == ("lighthouses.pdf", 12)

        listed = structured(await client.call_tool("memory_list", {"source": "lighthouses.pdf"}))
        assert listed["total"] == told["chunks"]
        preview = structured(await client.call_tool("memory_delete", {"source": "lighthouses.pdf"}))
        assert (preview["done"], preview["count"]) == (False, told["chunks"])
        gone = structured(await client.call_tool("memory_delete", {"source": "lighthouses.pdf", "confirm": True}))
        assert (gone["done"], gone["count"]) == (True, told["chunks"])


async def test_a_document_that_cannot_be_read_says_why(
    connect: ConnectAs, http: httpx2.Client, stack: LocalStack
) -> None:
    async with connect("legacy") as client:
        asked = structured(await client.call_tool("memory_ingest", {"source": "broken.pdf"}))
        httpx2.put(asked["upload"]["url"], content=b"no PDF at all").raise_for_status()
        job = wait_until_ended(http, stack, asked["id"])
        assert job["status"] == "failed"
        told = structured(await client.call_tool("memory_ingest", {"id": asked["id"]}))
        assert told["status"] == "failed"
        assert "pdf" in told["error"].lower()


async def test_a_changed_document_keeps_what_is_still_in_it_and_loses_the_rest(connect: ConnectAs) -> None:
    async with connect("legacy") as client:

        async def ingest(text: str) -> dict[str, Any]:
            return structured(await client.call_tool("memory_ingest", {"source": "plan.md", "content": text}))

        first = await ingest("# A\n\nThe fence is green.\n\n# B\n\nThe gate is blue.\n")
        assert (first["chunks"], first["created"]) == (2, 2)
        second = await ingest("# A\n\nThe fence is green.\n\n# B\n\nThe gate is yellow.\n")
        assert (second["chunks"], second["created"], second["replaced"]) == (2, 1, 1)
        page = structured(await client.call_tool("memory_list", {"source": "plan.md"}))
        assert {memory["content"] for memory in page["memories"]} == {"The fence is green.", "The gate is yellow."}


async def test_an_export_job_writes_what_an_import_job_takes_in(
    connect: ConnectAs, http: httpx2.Client, stack: LocalStack
) -> None:
    async with connect("legacy") as client:
        structured(
            await client.call_tool("memory_store", {"content": "Exports carry everything.", "tags": ["export"]})
        )
    job = wait_until_ended(http, stack, api(http, stack, "POST", "exports", embeddings=True)["id"])
    assert job["status"] == "done", job
    fetched = httpx2.get(job["download_url"])
    lines = [json.loads(line) for line in fetched.text.splitlines()]
    assert lines[0]["kind"] == "header"
    assert lines[-1]["kind"] == "footer"
    assert "Exports carry everything." in fetched.text

    asked = api(http, stack, "POST", "imports", name="memory.jsonl")
    httpx2.put(asked["upload_url"], content=fetched.content).raise_for_status()
    imported = wait_until_ended(http, stack, asked["id"])
    assert (imported["status"], imported["created"], imported["problems"]) == ("done", 0, [])
    assert imported["done"] == imported["total"] == len(lines) - 2

    cut = api(http, stack, "POST", "imports", name="memory.jsonl")
    httpx2.put(cut["upload_url"], content=b"\n".join(fetched.content.splitlines()[:-1])).raise_for_status()
    refused = wait_until_ended(http, stack, cut["id"])
    assert refused["status"] == "failed"
    assert "cut" in refused["error"]


async def test_an_import_job_takes_another_systems_export(
    connect: ConnectAs, http: httpx2.Client, stack: LocalStack
) -> None:
    asked = api(http, stack, "POST", "imports", name="mem0.json")
    exported = {"results": [{"id": "m-1", "memory": "Likes rhubarb crumble.", "user_id": "eve", "metadata": None}]}
    httpx2.put(asked["upload_url"], content=json.dumps(exported).encode()).raise_for_status()
    job = wait_until_ended(http, stack, asked["id"])
    assert (job["status"], job["created"]) == ("done", 1), job
    async with connect("legacy") as client:
        found = structured(await client.call_tool("memory_search", {"query": "dessert with rhubarb", "limit": 1}))
        assert found["hits"][0]["passage"] == "Likes rhubarb crumble."

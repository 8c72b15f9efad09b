"""The operator's commands as processes, about a running `remora dev`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.integration.operations.conftest import Remora
from tests.support.local_stack import LocalStack


def statuses(output: str) -> dict[str, str]:
    return {finding["check"]: finding["status"] for finding in json.loads(output)["findings"]}


def test_a_healthy_deployment_has_nothing_broken(remora: Remora, local: LocalStack) -> None:
    done = remora("doctor", "--data", str(local.data_dir), "--write", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    found = statuses(done.stdout)
    assert "broken" not in found.values(), done.stdout
    for check in (
        "health",
        "resource metadata",
        "server metadata",
        "401 without a key",
        "401 with a wrong key",
        "404",
    ):
        assert found[check] == "ok", done.stdout
    for check in ("authorizer", "Chroma", "memory", "stack", "usage keys", "OAuth table", "memory bucket"):
        assert found[check] == "ok", done.stdout
    for check in ("TLS", "DNS", "around the distribution", "functions"):
        assert found[check] == "skipped", "what does not apply is said to be skipped"
    assert local.key not in done.stdout + done.stderr


def test_a_refused_key_is_broken_and_says_what_to_do(remora: Remora, local: LocalStack) -> None:
    done = remora("doctor", "--url", local.url, REMORA_KEY="rmr_local_" + "x" * 43)
    assert done.returncode == 1
    assert "BROKEN  authorizer" in done.stdout
    assert "`remora key list`" in done.stdout
    assert "x" * 43 not in done.stdout + done.stderr


@contextmanager
def something_else() -> Iterator[str]:
    """A web server that is no deployment and answers 403 to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_is_no_deployment_is_broken_everywhere(remora: Remora) -> None:
    with something_else() as url:
        done = remora("doctor", "--url", url, "--json")
    assert done.returncode == 1
    found = statuses(done.stdout)
    for check in ("health", "resource metadata", "server metadata", "401 without a key", "404"):
        assert found[check] == "broken"
    assert found["authorizer"] == "skipped"


def test_nothing_that_answers_is_broken_and_ends(remora: Remora) -> None:
    done = remora("doctor", "--url", "http://127.0.0.1:9", "--json")
    assert done.returncode == 1
    assert statuses(done.stdout)["health"] == "broken"


def test_a_key_is_not_sent_unencrypted(remora: Remora) -> None:
    done = remora("doctor", "--url", "http://memory.example.com", REMORA_KEY="rmr_local_" + "x" * 43)
    assert done.returncode == 1
    assert "Use https" in done.stderr


def test_logs_are_one_stream_in_the_order_of_time(remora: Remora, local: LocalStack) -> None:
    remora("doctor", "--data", str(local.data_dir))
    done = remora("logs", "--data", str(local.data_dir))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("2")]
    assert any("Credential refused" in line for line in lines)
    assert any("chroma_server_info" in line for line in lines)
    assert lines == sorted(lines, key=lambda line: line.split()[0])

    only = remora("logs", "--data", str(local.data_dir), "--function", "authorizer")
    assert "Credential refused" in only.stdout
    assert "chroma_server_info" not in only.stdout


def test_connect_shows_the_url_of_the_run_and_its_parts(remora: Remora, local: LocalStack) -> None:
    done = remora("connect", "--data", str(local.data_dir), "--tools", "memory")
    assert done.returncode == 0, done.stderr
    assert f"URL: {local.url}/memory" in done.stdout
    assert local.key not in done.stdout


def test_connect_adds_the_run_to_cursor(remora: Remora, local: LocalStack, tmp_path: Path) -> None:
    asked = remora("connect", "cursor", "--install", "--data", str(local.data_dir))
    assert asked.returncode == 1
    assert "give --yes" in asked.stderr
    assert not (tmp_path / ".cursor").exists(), "nothing is written without a yes"

    done = remora("connect", "cursor", "--install", "--yes", "--key", "--data", str(local.data_dir))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())
    assert written["mcpServers"]["remora"]["url"] == local.url
    assert local.key not in done.stdout + done.stderr


def test_a_link_is_opened_by_what_opens_links(remora: Remora, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    url = "https://d111111abcdef8.cloudfront.net"
    done = remora("connect", "vscode", "--open", "--yes", "--url", url, BROWSER=f"{browser} %s")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opened").read_text().startswith("vscode:mcp/install?")

    refused = remora("connect", "vscode", "--open", "--yes", "--key", "--url", url, BROWSER=f"{browser} %s")
    assert refused.returncode == 1
    assert "Use --install" in refused.stderr


def test_a_local_run_is_not_destroyed(remora: Remora, local: LocalStack) -> None:
    done = remora("destroy", "--data", str(local.data_dir), "--confirm", "remora-local")
    assert done.returncode == 1
    assert "Ctrl-C" in done.stderr


def test_the_estimate_of_the_template_is_itemised(remora: Remora) -> None:
    done = remora("cost", "--json", "--requests", "1000000", "--parameter-overrides", "ChromaMode=instance")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["total"] == round(sum(item["cost"] for item in document["items"]), 2)
    assert {"API Gateway", "Chroma server (t4g.micro)"} <= {item["item"] for item in document["items"]}

"""The command `remora memory` before it reaches a deployment: what it works with, and what it never tells."""

from pathlib import Path

import pytest

from remora.cli import main
from remora.cli.terminal import FAILED

KEY = "rmr_local_0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def nothing_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No deployment is named by the environment or runs here."""
    monkeypatch.delenv("REMORA_URL", raising=False)
    monkeypatch.delenv("REMORA_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that cannot go on says."""
    assert main(["memory", *arguments]) == FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert KEY not in captured.err
    assert "Traceback" not in captured.err
    return captured.err


def test_without_a_deployment_it_says_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "status")

    assert "--url and --key" in said
    assert "remora dev" in said


def test_half_of_a_deployment_is_not_completed_from_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".remora").mkdir()
    (tmp_path / ".remora" / "connection.json").write_text(
        f'{{"url": "http://127.0.0.1:1/mcp", "stage_url": "http://127.0.0.1:1/dev", "key": "{KEY}"}}'
    )

    assert "both the URL and the key" in complaint(capsys, "status", "--url", "https://elsewhere.example/mcp")
    monkeypatch.setenv("REMORA_URL", "https://elsewhere.example/mcp")
    assert "both the URL and the key" in complaint(capsys, "status")


def test_the_key_is_not_sent_unencrypted_over_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "status", "--url", "http://remora.example/mcp", "--key", KEY)

    assert "Use https" in said


def test_what_is_no_name_of_a_space_is_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/b", "alice\r\nX-Api-Key: x", ""):
        said = complaint(capsys, "status", "--url", "http://127.0.0.1:1/mcp", "--key", KEY, "--space", name)
        assert "3 to 512 characters" in said


def test_a_damaged_connection_is_said_without_its_content(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / ".remora").mkdir()
    (tmp_path / ".remora" / "connection.json").write_text(f'{{"url": 1, "key": "{KEY}"')

    assert "cannot be read" in complaint(capsys, "status")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "either a file or folder, or --collection"),
        (["import", "x.jsonl", "--collection", "notes"], "either a file or folder, or --collection"),
        (["import", "missing.jsonl"], "missing.jsonl cannot be read"),
    ],
)
def test_an_import_of_nothing_is_said_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in complaint(capsys, *arguments, "--url", "http://127.0.0.1:1/dev/mcp", "--key", KEY)


def test_a_file_that_was_cut_is_refused_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    header = (
        '{"kind":"header","format":"remora-memory","schema_version":1,"exported_at":"2026-05-01T09:30:00Z",'
        '"space":"example","embedding_model":"all-MiniLM-L6-v2","embeddings":false}\n'
    )
    (tmp_path / "cut.jsonl").write_text(header)

    said = complaint(capsys, "import", "cut.jsonl", "--url", "http://127.0.0.1:1/dev/mcp", "--key", KEY)

    assert "The file was cut" in said
    assert "nothing was imported" in said

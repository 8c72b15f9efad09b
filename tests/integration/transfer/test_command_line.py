"""The command `remora memory` against a deployment over real HTTP."""

import json
import shutil
import stat
import tracemalloc
from pathlib import Path

import pytest

from remora.auth.principal import Scope
from remora.cli import main
from remora.cli.memory import REFUSED
from remora.cli.terminal import DONE, FAILED
from remora.memory.models import NewMemory
from remora.transfer.lines import NO_LINES, FooterLine, HeaderLine, check_file, next_digest
from tests.integration.transfer.conftest import LocalDeployment, soon
from tests.integration.transfer.test_transfer import MOMENT

KEY = "rmr_tester_0123456789abcdef0123456789abcdef"
DATA = Path(__file__).parents[2] / "data" / "transfer"


@pytest.fixture(autouse=True)
def named_by_the_environment(deployment: LocalDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployment is the one that the environment names."""
    monkeypatch.setenv("REMORA_URL", deployment.url)
    monkeypatch.setenv("REMORA_KEY", KEY)
    monkeypatch.chdir(tmp_path)


def store(deployment: LocalDeployment, *contents: str) -> list[str]:
    """Store memories; return their ids."""
    memories = [NewMemory(content=content) for content in contents]
    result = deployment.runner.run(deployment.space.memory.store(memories, deadline=soon()))
    return [memory.id for memory in result.memories]


def contents(deployment: LocalDeployment) -> set[str]:
    """What the memories of the deployment say."""

    async def read() -> set[str]:
        lines = [json.loads(line) for line in await deployment.space.export()]
        return {line["entries"][-1]["memory"]["content"] for line in lines if line["kind"] == "memory"}

    return deployment.runner.run(read())


def test_what_is_exported_can_be_imported_again(
    deployment: LocalDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(deployment, "First.", "Second: “quotes”, 漢字.", "Third.")

    assert main(["memory", "export", "all.jsonl"]) == DONE

    assert capsys.readouterr().out == "Exported 3 memories to all.jsonl.\n"
    path = tmp_path / "all.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (tmp_path / "all.jsonl.part").exists()
    assert main(["memory", "import", "all.jsonl"]) == DONE
    assert capsys.readouterr().out == "Imported: 0 new, 3 there already.\n"
    deployment.gateway.space += "-copy"
    assert main(["memory", "import", "all.jsonl"]) == DONE
    assert capsys.readouterr().out == "Imported: 3 new, 0 there already.\n"
    assert main(["memory", "export", "copy.jsonl"]) == DONE
    assert (tmp_path / "copy.jsonl").read_bytes().split(b"\n")[1:] == path.read_bytes().split(b"\n")[1:]


def test_an_export_to_standard_output_is_the_file_and_nothing_else(
    deployment: LocalDeployment, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    store(deployment, "First.", "Second.")

    assert main(["memory", "export", "-"]) == DONE

    assert check_file(capsysbinary.readouterr().out.splitlines()).memories == 2


@pytest.mark.parametrize(
    ("name", "said", "status"),
    [
        ("mcp-memory-service.json", "Imported: 2 new, 0 there already, 2 not readable.", REFUSED),
        ("mem0.json", "Imported: 2 new, 0 there already, 1 not readable.", REFUSED),
        ("notes", "Imported: 2 new, 0 there already.", DONE),
    ],
)
def test_other_systems_memories_are_imported_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, said: str, status: int
) -> None:
    if (DATA / name).is_dir():
        shutil.copytree(DATA / name, tmp_path / name)
    else:
        shutil.copy(DATA / name, tmp_path / name)

    assert main(["memory", "import", name]) == status
    assert capsys.readouterr().out == f"{said}\n"
    assert main(["memory", "import", name]) == status
    assert capsys.readouterr().out == said.replace("2 new, 0 there", "0 new, 2 there") + "\n"


def test_a_collection_is_imported_by_name(deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    collections = deployment.space.collections
    deployment.runner.run(collections.create("notes", deadline=soon()))
    deployment.runner.run(collections.add("notes", documents=["One.", "Two."], deadline=soon()))

    assert main(["memory", "import", "--collection", "notes"]) == DONE
    assert capsys.readouterr().out == "Imported: 2 new, 0 there already.\n"
    assert main(["memory", "import", "--collection", "absent"]) == FAILED
    assert "absent" in capsys.readouterr().err


def test_a_conflict_is_named_and_left_alone(deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    (id_,) = store(deployment, "It is red.")
    main(["memory", "export", "all.jsonl"])
    deployment.runner.run(deployment.space.memory.delete([id_], purge=True, confirm=True, deadline=soon()))
    capsys.readouterr()

    assert main(["memory", "import", "all.jsonl"]) == REFUSED

    captured = capsys.readouterr()
    assert captured.out == "Imported: 0 new, 0 there already, 1 in conflict and left alone.\n"
    assert captured.err == f"remora: line 2 ({id_}): It was purged here. It was left alone.\n"


def test_a_file_that_was_cut_changes_nothing(
    deployment: LocalDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(deployment, "First.", "Second.")
    main(["memory", "export", "all.jsonl"])
    path = tmp_path / "all.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    deployment.gateway.space += "-copy"
    before = len(deployment.gateway.requests)

    assert main(["memory", "import", "all.jsonl"]) == FAILED

    assert "nothing was imported" in capsys.readouterr().err
    assert len(deployment.gateway.requests) == before


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_fails_for_a_moment_is_tried_again(
    deployment: LocalDeployment, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    store(deployment, "First.")
    deployment.gateway.failures = [status, status]

    assert main(["memory", "export", "all.jsonl"]) == DONE
    deployment.gateway.failures = [status]
    assert main(["memory", "import", "all.jsonl"]) == DONE

    assert capsys.readouterr().out.endswith("Imported: 0 new, 1 there already.\n")


def test_an_export_that_fails_leaves_no_file(
    deployment: LocalDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.gateway.failures = [400]

    assert main(["memory", "export", "all.jsonl"]) == FAILED

    assert list(tmp_path.iterdir()) == []
    assert "status 400" in capsys.readouterr().err


def test_a_rebuild_without_the_scope_says_which_one_is_missing(
    deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.gateway.scopes = {Scope.READ, Scope.WRITE}

    assert main(["memory", "rebuild"]) == FAILED

    assert capsys.readouterr().err == "remora: This needs the scope 'admin'; this key has: read, write.\n"


def test_a_rebuild_puts_right_what_is_wrong(deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    ids = store(deployment, "First.", "Second.", "Third.")
    deployment.runner.run(deployment.space.index.remove(ids[:2], deadline=soon()))
    deployment.gateway.seconds = 10.0

    assert main(["memory", "rebuild"]) == DONE
    assert capsys.readouterr().out == "Compared 3 memories with the index; 2 were put right.\n"
    assert main(["memory", "rebuild", "--fresh"]) == DONE
    assert capsys.readouterr().out == "Compared 3 memories with the index; 3 were put right.\n"


@pytest.mark.parametrize(
    ("scopes", "arguments"),
    [
        ({Scope.WRITE, Scope.ADMIN}, ["export", "all.jsonl"]),
        ({Scope.READ, Scope.ADMIN}, ["import", "notes.md"]),
        ({Scope.WRITE}, ["import", "--collection", "notes"]),
        ({Scope.WRITE}, ["status"]),
    ],
)
def test_each_command_needs_its_scope(
    deployment: LocalDeployment,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scopes: set[Scope],
    arguments: list[str],
) -> None:
    (tmp_path / "notes.md").write_text("A note.", encoding="utf-8")
    deployment.gateway.scopes = scopes

    assert main(["memory", *arguments]) == FAILED

    assert "needs the scope" in capsys.readouterr().err


def test_an_admin_names_the_space_to_work_in(deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    own = deployment.gateway.space
    store(deployment, "First.", "Second.")
    deployment.gateway.space = f"{own}-of-an-admin"

    assert main(["memory", "status"]) == DONE
    assert "no memories" in (said := capsys.readouterr().out).lower() or " 0 " in said
    assert main(["memory", "export", "-", "--space", own]) == DONE
    assert check_file(capsys.readouterr().out.encode().splitlines()).memories == 2
    assert main(["memory", "rebuild", "--fresh", "--space", own]) == DONE

    deployment.gateway.scopes = {Scope.READ, Scope.WRITE}
    capsys.readouterr()
    assert main(["memory", "status", "--space", own]) == FAILED
    assert "takes the scope 'admin'" in capsys.readouterr().err
    assert main(["memory", "status", "--space", deployment.gateway.space]) == DONE


def test_the_status_counts_memories_and_never_shows_the_key(
    deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]
) -> None:
    store(deployment, "First.", "Second.")

    assert main(["memory", "status"]) == DONE

    captured = capsys.readouterr()
    assert "Memories  2, indexed as 2 passages" in captured.out
    assert deployment.space.name in captured.out
    assert KEY not in captured.out + captured.err


def test_a_large_file_is_imported_in_little_memory(
    deployment: LocalDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each line is read, sent, and refused by the deployment for its id, so that no other server is in the way.
    digest, count = NO_LINES, 10_000
    with (tmp_path / "large.jsonl").open("wb") as file:
        file.write(HeaderLine(exported_at=MOMENT, space="any", embedding_model="any").to_json().encode() + b"\n")
        for number in range(count):
            memory = {"id": f"UPPER{number:05}", "version": 1, "content": "x" * 8_000}
            memory |= {"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z"}
            entry = {"version": 1, "action": "store", "at": "2025-01-01T00:00:00Z", "by": "any", "memory": memory}
            line = json.dumps({"kind": "memory", "id": f"UPPER{number:05}", "entries": [entry]}).encode()
            digest = next_digest(digest, line)
            file.write(line + b"\n")
        file.write(FooterLine(memories=count, lines=count, digest=digest.hex()).to_json().encode() + b"\n")
    tracemalloc.start()

    status = main(["memory", "import", "large.jsonl"])

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert status == REFUSED
    assert "10,000 not readable" in capsys.readouterr().out
    # The file has 82 MB; command line and deployment are both in this process.
    assert peak < 60_000_000

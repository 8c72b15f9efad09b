"""The Chroma server's user data on a machine with systemd: an empty disk, data, a copy of it, a wrong disk, a reboot.

The machine is a container, and AWS is played (machine.py, image.sh). What is real: the user data as the template
makes it, systemd, udev, file systems on loop devices, the unit, and Chroma.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from chromadb import HttpClient
from chromadb.api.models.Collection import Collection

from scripts.chroma import ready
from tests.machine.machine import IMAGE, Machine, empty_disk, free_port, missing
from tests.template.stacks import user_data

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"no machine can be started here: {missing()}")

SNAPSHOT = "snap-0123456789abcdef0"
IDS = [f"m{number}" for number in range(200)]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def wheels() -> Path:
    """The folder that holds Chroma's wheel for this computer, fetched once."""
    folder = IMAGE / "wheels"
    if not list(folder.glob("chromadb-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        done = subprocess.run([*command, f"chromadb=={version('chromadb')}"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"Chroma's wheel cannot be fetched: {done.stderr.strip()}")
    return folder


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Callable[..., Machine]:
    (wheel,) = wheels.glob("chromadb-*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()

    def machine(volume: Path, *, index: Path = wheels, snapshot_id: str = "None") -> Machine:
        port = free_port()
        values = {"ChromaVersion": version("chromadb"), "ChromaSha256": digest, "ChromaPort": str(port)}
        folder = tmp_path_factory.mktemp("machine")
        return Machine(folder / "machine", user_data(values), index, volume, port, snapshot_id)

    return machine


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_disk(tmp_path_factory.mktemp("volume") / "volume.img")


@pytest.fixture(scope="module")
def machine(make: Callable[..., Machine], volume: Path) -> Iterator[Machine]:
    """A machine whose volume was empty, with data in its Chroma."""
    with make(volume) as machine:
        assert "is empty and is formatted" in machine.bootstrapped()
        assert machine.answer()[0] == 200
        collection = HttpClient(host="127.0.0.1", port=machine.port).create_collection("drill")
        collection.add(ids=IDS, embeddings=[vector(number) for number in range(len(IDS))], documents=IDS)
        yield machine


def vector(number: int) -> Sequence[float]:
    return [float(number), 1.0, 0.0]


def drill(machine: Machine) -> Collection:
    assert machine.answer()[0] == 200
    return HttpClient(host="127.0.0.1", port=machine.port).get_collection("drill")


def intact(machine: Machine) -> bool:
    collection = drill(machine)
    (nearest,) = collection.query(query_embeddings=[vector(7)], n_results=1)["ids"]
    return sorted(collection.get()["ids"]) == sorted(IDS) and nearest == ["m7"]


def test_an_empty_volume_is_formatted_and_chroma_answers(machine: Machine) -> None:
    assert intact(machine)
    assert machine.run("findmnt -no FSTYPE,LABEL,OPTIONS /var/lib/chroma").split()[:2] == ["ext4", "chroma-data"]
    assert "chroma.sqlite3" in machine.run("ls /var/lib/chroma/data")
    assert ready.problem(f"http://127.0.0.1:{machine.port}/api/v2/heartbeat", time.monotonic() + 10) == ""


def test_chroma_runs_as_nobody_else_and_reaches_nobody(machine: Machine) -> None:
    assert machine.run("stat -c %U /proc/$(systemctl show -P MainPID chroma)").strip() == "chroma"
    shown = dict(line.split("=", 1) for line in machine.run("systemctl show chroma").splitlines() if "=" in line)
    assert shown["NoNewPrivileges"] == shown["MemoryDenyWriteExecute"] == shown["PrivateDevices"] == "yes"
    assert shown["ProtectSystem"] == "strict"
    assert shown["ReadWritePaths"] == "/var/lib/chroma/data"
    assert (
        machine.run("awk '$1 == \"CapBnd:\" { print $2 }' /proc/$(systemctl show -P MainPID chroma)/status").strip(
            "0\n"
        )
        == ""
    )
    assert set(shown["IPAddressDeny"].split()) == {"::/0", "0.0.0.0/0"}
    assert "169.254" not in shown["IPAddressAllow"]
    assert shown["MemoryMax"].isdigit()
    assert shown["TimeoutStopUSec"] == "2min"


def test_nothing_is_installed_beside_the_servers_own_wheel(machine: Machine) -> None:
    listed = machine.run("/opt/chroma/current/bin/pip list --format=freeze --disable-pip-version-check")
    assert {line.split("==")[0] for line in listed.splitlines()} == {"chromadb", "pip", "setuptools"}
    # The Python server, which has the hole of CVE-2026-45829, cannot even be imported.
    machine.run("! /opt/chroma/current/bin/python -c 'import chromadb.server.fastapi' 2>/dev/null")


def test_the_rest_of_the_machine_is_set_up(machine: Machine) -> None:
    assert (
        json.loads(machine.run("cat /etc/amazon/ssm/amazon-ssm-agent.json"))["Agent"]["UseDualStackEndpoint"] is True
    )
    agent = json.loads(machine.run("cat /opt/aws/amazon-cloudwatch-agent/etc/remora.json"))
    assert agent["agent"]["use_dualstack_endpoint"] is True
    assert agent["metrics"]["metrics_collected"]["disk"]["append_dimensions"] == {"Deployment": "remora"}
    assert "amazon-cloudwatch-agent" in machine.run("cat /var/log/dnf.log")
    assert "fetch-config" in machine.run("cat /var/log/cloudwatch-agent.log")
    machine.run("systemctl is-active security-patches.timer && systemd-analyze verify security-patches.service")
    machine.run("logrotate --debug /etc/logrotate.d/chroma")


def test_running_it_again_changes_nothing(machine: Machine) -> None:
    before = machine.run("blkid -o value -s UUID $(findmnt -no SOURCE /var/lib/chroma); sort /etc/fstab")
    assert "formatted" not in machine.bootstrap_again()
    assert machine.run("blkid -o value -s UUID $(findmnt -no SOURCE /var/lib/chroma); sort /etc/fstab") == before
    assert intact(machine)


def test_chroma_comes_back_when_it_is_killed(machine: Machine) -> None:
    first = machine.run("systemctl show -P MainPID chroma").strip()
    machine.run("systemctl kill --signal=KILL chroma")
    deadline = time.monotonic() + 30
    while machine.run("systemctl show -P MainPID chroma").strip() in {first, "0"}:
        assert time.monotonic() < deadline
    assert intact(machine)


def test_a_reboot_brings_chroma_back_without_the_bootstrap(machine: Machine) -> None:
    machine.stop()
    machine.start()
    assert intact(machine)
    assert machine.run("systemctl show -P ConditionResult user-data").strip() == "no"


def test_another_machine_takes_over_from_a_snapshot(
    machine: Machine, make: Callable[..., Machine], volume: Path, tmp_path: Path
) -> None:
    # As EBS makes it: of a disk in use, at one moment. And no index: what the machine needs is on the volume.
    assert intact(machine)
    machine.run("sync")
    copy = Path(shutil.copy(volume, tmp_path / "copy.img"))
    nothing = tmp_path / "index"
    nothing.mkdir()
    with make(copy, index=nothing, snapshot_id=SNAPSHOT) as other:
        assert "formatted" not in other.bootstrapped()
        assert intact(other)
    assert intact(machine)


def foreign_file_system(path: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-L", "photographs", str(path)], check=True)


def partition_table(path: Path) -> None:
    # The signature of a master boot record, and one partition.
    entry = bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (1000).to_bytes(4, "little")
    with path.open("r+b") as file:
        file.seek(446)
        file.write(entry + bytes(48) + b"\x55\xaa")


def unknown_bytes_at_its_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-MIB // 2, 2)
        file.write(b"something that no tool knows")


@pytest.mark.parametrize(
    ("write", "snapshot_id", "reason"),
    [
        (foreign_file_system, "None", "holds something else, and is left as it is"),
        (partition_table, "None", "holds something else, and is left as it is"),
        (unknown_bytes_at_its_end, "None", "is not empty, and is left as it is"),
        (lambda path: None, SNAPSHOT, "comes from a snapshot and holds no file system"),
    ],
    ids=["a file system", "a partition table", "unknown bytes", "an empty copy"],
)
def test_a_volume_that_is_not_chromas_is_refused_and_left_as_it_is(
    make: Callable[..., Machine], tmp_path: Path, write: Callable[[Path], None], snapshot_id: str, reason: str
) -> None:
    wrong = empty_disk(tmp_path / "wrong.img", 64 * MIB)
    write(wrong)
    before = hashlib.sha256(wrong.read_bytes()).digest()
    with make(wrong, snapshot_id=snapshot_id) as machine:
        status, body = machine.answer()
        told = ready.problem(f"http://127.0.0.1:{machine.port}/api/v2/heartbeat", time.monotonic() + 10)
        machine.run("! findmnt /var/lib/chroma && ! systemctl is-active --quiet chroma")
    assert status == 503
    assert reason in body
    assert told.endswith(body)
    assert hashlib.sha256(wrong.read_bytes()).digest() == before

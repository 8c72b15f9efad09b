"""Changing the principals secret: nothing is lost to others, to lost answers or to its limits."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from remora.auth.keys import CAPACITY, Principals, StoredPrincipal
from remora.auth.principal import Scope
from remora.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from remora.principals.store import PrincipalsStore, fitting
from tests.integration.principals.deployment import Deployment

THREADS, CHANGES = 6, 5


def someone(name: str = "") -> StoredPrincipal:
    return StoredPrincipal(
        scopes=frozenset({Scope.READ}), space="somewhere", usage_key="usage-key-of-someone-01", name=name
    )


def adding(principal_id: str) -> Any:
    def change(principals: Principals) -> Principals:
        return principals.model_copy(update={"principals": {**principals.principals, principal_id: someone()}})

    return change


def labels(deployment: Deployment) -> dict[str, list[str]]:
    """Return which version carries each label."""
    versions = deployment.secretsmanager.describe_secret(SecretId=deployment.secret)["VersionIdsToStages"]
    found: dict[str, list[str]] = {}
    for version, stages in versions.items():
        for stage in stages:
            found.setdefault(stage, []).append(version)
    return found


def test_changes_made_at_the_same_time_are_all_kept(deployment: Deployment) -> None:
    start = threading.Barrier(THREADS)

    def work(worker: int) -> None:
        store = deployment.again().store
        start.wait()
        for number in range(CHANGES):
            store.change(adding(f"p-{worker}-{number}"))

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, worker) for worker in range(THREADS)]:
            done.result()
    assert set(deployment.principals().principals) == {
        f"p-{worker}-{number}" for worker in range(THREADS) for number in range(CHANGES)
    }
    # One label for prepared versions, however many writers there were: a secret holds 20.
    assert set(labels(deployment)) == {"AWSCURRENT", "AWSPREVIOUS", "REMORA-PREPARED"}
    assert all(len(versions) == 1 for versions in labels(deployment).values())


def test_a_change_that_was_overtaken_is_made_again_on_what_is_there_then(deployment: Deployment) -> None:
    seen: list[set[str]] = []

    def change(principals: Principals) -> Principals:
        seen.append(set(principals.principals))
        if len(seen) == 1:
            deployment.again().store.change(adding("faster"))
        return adding("slower")(principals)  # type: ignore[no-any-return]

    deployment.store.change(change)
    assert seen == [set(), {"faster"}]
    assert set(deployment.principals().principals) == {"faster", "slower"}


def test_a_change_that_is_overtaken_every_time_gives_up_and_changes_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remora.principals.store._FIRST_PAUSE", 0)
    others = iter(range(1000))

    def change(principals: Principals) -> Principals:
        deployment.again().store.change(adding(f"p-{next(others)}"))
        return adding("never")(principals)  # type: ignore[no-any-return]

    with pytest.raises(ConflictError, match="Nothing was changed"):
        deployment.store.change(change)
    assert "never" not in deployment.principals().principals


def test_a_change_whose_answer_was_lost_is_not_made_twice(deployment: Deployment) -> None:
    sent: list[str] = []

    def retry_once(attempts: int, **_: Any) -> int | None:
        # What botocore does when the connection breaks after AWS has done its work: it sends the call again.
        sent.append("stage")
        return 0 if attempts == 1 else None

    events = deployment.secretsmanager.meta.events
    events.register("needs-retry.secrets-manager.UpdateSecretVersionStage", retry_once)  # type: ignore[arg-type]
    made: list[int] = []

    def change(principals: Principals) -> Principals:
        if "alice" in principals.principals:
            return principals
        made.append(1)
        return adding("alice")(principals)  # type: ignore[no-any-return]

    deployment.store.change(change)
    assert len(sent) >= 2
    assert made == [1]
    assert set(deployment.principals().principals) == {"alice"}


def test_a_change_of_nothing_writes_nothing(deployment: Deployment) -> None:
    before = labels(deployment)
    deployment.store.change(lambda principals: principals)
    assert labels(deployment) == before


def test_the_version_before_stays_readable_as_awsprevious(deployment: Deployment) -> None:
    deployment.store.change(adding("alice"))
    deployment.store.change(adding("bob"))
    previous = deployment.secretsmanager.get_secret_value(SecretId=deployment.secret, VersionStage="AWSPREVIOUS")
    assert set(json.loads(previous["SecretString"])["principals"]) == {"alice"}


def test_a_document_larger_than_a_secret_is_refused_before_it_is_sent(deployment: Deployment) -> None:
    before = labels(deployment)

    def change(principals: Principals) -> Principals:
        crowd = {f"p-{number}": someone("n" * 90) for number in range(400)}
        return principals.model_copy(update={"principals": crowd})

    with pytest.raises(InvalidArgumentError, match=f"{CAPACITY:,}"):
        deployment.store.change(change)
    assert labels(deployment) == before


def test_a_document_of_exactly_a_secrets_size_fits() -> None:
    def sized(filler: int) -> Principals:
        return Principals.model_validate({"principals": {}, "filler": "x" * filler})

    rest = CAPACITY - len(sized(0).to_document())
    assert len(fitting(sized(rest))) == CAPACITY
    with pytest.raises(InvalidArgumentError):
        fitting(sized(rest + 1))


def test_the_size_is_counted_in_bytes_not_in_characters(deployment: Deployment) -> None:
    deployment.replace({"principals": {"alice": json.loads(someone("ä" * 50).model_dump_json())}})
    stored = deployment.secretsmanager.get_secret_value(SecretId=deployment.secret, VersionStage="AWSCURRENT")
    assert deployment.store.read().size == len(stored["SecretString"].encode())


def test_a_secret_that_is_no_principals_document_is_said_without_its_content(deployment: Deployment) -> None:
    deployment.replace({"principals": {"alice": {"usage_key": "not-to-be-seen-not-to-be-seen"}}})
    with pytest.raises(InvalidArgumentError, match="AWSPREVIOUS") as error:
        deployment.store.read()
    assert "not-to-be-seen" not in str(error.value)


def test_a_secret_that_does_not_exist_is_said(deployment: Deployment) -> None:
    with pytest.raises(NotFoundError, match="no secret"):
        PrincipalsStore(deployment.secretsmanager, "nothing-of-the-kind").read()


def test_the_limit_of_versions_is_said_with_what_to_do(deployment: Deployment) -> None:
    # moto knows no such limit: this is the error that AWS documents for it.
    def refuse(model: Any, **_: Any) -> None:
        error = {"Error": {"Code": "LimitExceededException", "Message": "too many"}}
        raise ClientError(error, model.name)  # type: ignore[arg-type]

    deployment.secretsmanager.meta.events.register("before-call.secrets-manager.PutSecretValue", refuse)
    with pytest.raises(UnavailableError, match="24 hours"):
        deployment.store.change(adding("alice"))

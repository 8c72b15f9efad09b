"""Making, changing, rotating and revoking principals: whatever is interrupted, nothing that matters is half done."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from remora.auth.keys import Refusal, RefusedError, StoredPrincipal, authenticate, generate_key, hash_key
from remora.auth.principal import Scope
from remora.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, PermissionDeniedError
from remora.principals.service import MOST_KEYS, Changes, Expiry, NewPrincipal, nearly_full
from tests.integration.principals.deployment import Deployment, KilledError


def accepted(deployment: Deployment, key: str) -> StoredPrincipal:
    authenticated = authenticate(key, deployment.principals(), deployment.clock())
    return deployment.principals().principals[authenticated.principal.id]


def refusal(deployment: Deployment, key: str) -> Refusal:
    with pytest.raises(RefusedError) as refused:
        authenticate(key, deployment.principals(), deployment.clock())
    return refused.value.reason


def create(deployment: Deployment, principal_id: str = "alice", **values: object) -> str:
    key = deployment.service.create(NewPrincipal(id=principal_id, **values)).key  # type: ignore[arg-type]
    assert key is not None
    return key


# ---- create ----


def test_a_new_principal_comes_in_with_its_key_and_is_counted_in_its_tier(deployment: Deployment) -> None:
    key = create(deployment)
    alice = accepted(deployment, key)
    assert alice.scopes == {Scope.READ, Scope.WRITE}
    assert (alice.space, alice.tier) == ("alice", "standard")
    deployment.check()


def test_the_key_itself_is_stored_nowhere(deployment: Deployment) -> None:
    key = create(deployment, name="Alice")
    stored = deployment.secretsmanager.get_secret_value(SecretId=deployment.secret, VersionStage="AWSCURRENT")
    everything = stored["SecretString"] + json.dumps(
        deployment.apigateway.get_api_keys(includeValues=True)["items"], default=str
    )
    assert key not in everything
    assert key.rpartition("_")[2] not in everything
    assert hash_key(key) in stored["SecretString"]


def test_a_name_that_is_taken_is_refused_and_leaves_nothing(deployment: Deployment) -> None:
    key = create(deployment)
    usage_keys = deployment.usage_keys()
    with pytest.raises(AlreadyExistsError, match="remora key rotate alice"):
        create(deployment, tier="heavy")
    assert deployment.usage_keys() == usage_keys
    assert accepted(deployment, key).tier == "standard"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"id": "Alice"}, "a-z"),
        ({"id": "a" * 33}, "1 to 32"),
        ({"id": "al"}, "--space"),
        ({"id": "alice", "space": "no space"}, "A space has"),
        ({"id": "alice", "tier": "golden"}, "heavy, light, standard"),
        ({"id": "alice", "name": "a\nb"}, "line breaks"),
        ({"id": "alice", "identities": ("a b",)}, "An identity"),
        ({"id": "alice", "with_key": False}, "needs an identity"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_made(
    deployment: Deployment, values: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        deployment.service.create(NewPrincipal(**values))  # type: ignore[arg-type]
    assert deployment.usage_keys() == {}
    assert deployment.principals().principals == {}


def test_a_principal_may_have_an_identity_and_no_key(deployment: Deployment) -> None:
    issued = deployment.service.create(NewPrincipal(id="alice", identities=("google|1",), with_key=False))
    assert issued.key is None
    alice = deployment.principals().principals["alice"]
    assert (alice.keys, alice.identities) == ((), ("google|1",))
    deployment.check()


def test_an_identity_leads_to_one_principal(deployment: Deployment) -> None:
    create(deployment, identities=("google|1",))
    create(deployment, "bob-the-builder")
    with pytest.raises(AlreadyExistsError, match="belongs to the principal alice"):
        create(deployment, "carol", identities=("google|1",))
    with pytest.raises(AlreadyExistsError, match="belongs to the principal alice"):
        deployment.service.change("bob-the-builder", Changes(identities=("google|1",)))
    deployment.service.change("alice", Changes(identities=("google|1", "google|2")))


def test_one_of_many_that_make_the_same_principal_at_once_succeeds(deployment: Deployment) -> None:
    start = threading.Barrier(5)

    def work() -> str | None:
        own = deployment.again()
        start.wait()
        try:
            return create(own)
        except AlreadyExistsError:
            return None

    with ThreadPoolExecutor(5) as pool:
        keys = [done.result() for done in [pool.submit(work) for _ in range(5)]]
    (key,) = (key for key in keys if key)
    accepted(deployment, key)
    deployment.check()
    deployment.settle()


def test_principals_made_at_once_are_all_there(deployment: Deployment) -> None:
    def work(worker: int) -> list[str]:
        own = deployment.again()
        return [create(own, f"worker-{worker}-{number}") for number in range(3)]

    with ThreadPoolExecutor(4) as pool:
        keys = [key for done in [pool.submit(work, worker) for worker in range(4)] for key in done.result()]
    assert len(keys) == 12
    for key in keys:
        accepted(deployment, key)
    deployment.check()
    deployment.settle()


# ---- room ----


def crowded(deployment: Deployment, count: int) -> None:
    """Fill the secret with as many principals as they come."""
    crowd = {
        f"crowd-{number:05}": {
            "scopes": ["read", "write"],
            "space": f"crowd-{number:05}",
            "usage_key": f"{number:032}",
            "usage_key_id": f"{number:010}",
            "keys": [{"sha256": f"{number:064x}", "created_at": "2026-11-01T12:00:00Z"}],
            # A tier of another version: this one leaves its usage keys alone.
            "tier": "crowd",
        }
        for number in range(count)
    }
    deployment.replace({"principals": crowd})


def test_a_secret_that_is_nearly_full_is_said_with_the_room_that_is_left(deployment: Deployment) -> None:
    crowded(deployment, 100)
    assert nearly_full(deployment.service.snapshot()) is None
    crowded(deployment, 180)
    warning = nearly_full(deployment.service.snapshot())
    assert warning is not None
    assert "65,536" in warning
    assert "more like these" in warning


def test_a_full_secret_refuses_a_new_principal_before_anything_is_made(deployment: Deployment) -> None:
    crowded(deployment, 100)
    each = deployment.store.read().size / 100
    crowded(deployment, int(65_500 // each))
    with pytest.raises(InvalidArgumentError, match="remora key list"):
        create(deployment, name="n" * 100, identities=("i" * 200,))
    assert deployment.usage_keys() == {}
    assert "alice" not in deployment.principals().principals


def test_two_hundred_principals_fit(deployment: Deployment) -> None:
    # What docs/keys.md says.
    crowded(deployment, 200)
    create(deployment)


# ---- change ----


def test_a_principal_is_changed_in_what_was_named_and_in_nothing_else(deployment: Deployment) -> None:
    key = create(deployment, name="Alice", identities=("google|1",))
    before = accepted(deployment, key)
    deployment.service.change("alice", Changes(scopes=frozenset({Scope.READ}), name=""))
    after = accepted(deployment, key)
    assert after == before.model_copy(update={"scopes": frozenset({Scope.READ}), "name": ""})


def test_a_disabled_principal_is_refused_until_it_is_enabled(deployment: Deployment) -> None:
    key = create(deployment)
    deployment.service.change("alice", Changes(disabled=True))
    assert refusal(deployment, key) is Refusal.DISABLED
    deployment.check()
    deployment.service.change("alice", Changes(disabled=False))
    accepted(deployment, key)


def test_another_tier_takes_another_usage_key_and_the_old_one_outlives_cached_answers(deployment: Deployment) -> None:
    key = create(deployment)
    old = accepted(deployment, key).usage_key_id
    deployment.service.change("alice", Changes(tier="heavy"))
    new = accepted(deployment, key).usage_key_id
    assert (deployment.tier_of(new), deployment.tier_of(old)) == ("heavy", "standard")
    # Another command within the time that answers are cached leaves it.
    deployment.clock.advance(minutes=5)
    create(deployment, "bob-the-builder")
    assert deployment.tier_of(old) == "standard"
    deployment.clock.advance(minutes=11)
    deployment.service.change("bob-the-builder", Changes(name="Bob"))
    assert deployment.tier_of(old) is None
    assert old not in deployment.usage_keys()
    deployment.check()


def test_what_a_principal_cannot_become_is_refused(deployment: Deployment) -> None:
    create(deployment)
    with pytest.raises(InvalidArgumentError, match="heavy, light, standard"):
        deployment.service.change("alice", Changes(tier="golden"))
    with pytest.raises(InvalidArgumentError, match="A space has"):
        deployment.service.change("alice", Changes(space="x"))
    with pytest.raises(NotFoundError, match="no principal bob"):
        deployment.service.change("bob", Changes(name="Bob"))
    assert len(deployment.usage_keys()) == 1


# ---- rotate ----


def test_old_and_new_key_work_until_the_overlap_is_over(deployment: Deployment) -> None:
    old = create(deployment)
    new = deployment.service.rotate("alice", overlap=timedelta(hours=24)).key
    assert new is not None
    accepted(deployment, old)
    accepted(deployment, new)
    deployment.clock.advance(hours=24)
    assert refusal(deployment, old) is Refusal.EXPIRED
    accepted(deployment, new)


def test_without_an_overlap_the_old_key_is_refused_at_once(deployment: Deployment) -> None:
    old = create(deployment)
    deployment.service.rotate("alice", overlap=timedelta())
    assert refusal(deployment, old) is Refusal.EXPIRED


def test_an_overlap_never_makes_a_key_live_longer(deployment: Deployment) -> None:
    old = create(deployment, expires_at=deployment.clock() + timedelta(hours=1))
    deployment.service.rotate("alice", overlap=timedelta(hours=24), expiry=Expiry(None))
    deployment.clock.advance(hours=1)
    assert refusal(deployment, old) is Refusal.EXPIRED


def test_where_the_newest_key_expires_it_must_be_said_when_the_new_one_does(deployment: Deployment) -> None:
    create(deployment, expires_at=deployment.clock() + timedelta(days=90))
    with pytest.raises(InvalidArgumentError, match="--expires"):
        deployment.service.rotate("alice", overlap=timedelta())
    expiry = Expiry(deployment.clock() + timedelta(days=30))
    issued = deployment.service.rotate("alice", overlap=timedelta(), expiry=expiry)
    assert issued.principal.keys[-1].expires_at == expiry.at


def test_a_principal_holds_so_many_keys_and_no_more(deployment: Deployment) -> None:
    create(deployment)
    for _ in range(MOST_KEYS - 1):
        deployment.service.rotate("alice", overlap=timedelta(days=1))
    with pytest.raises(InvalidArgumentError, match="--key KEYID"):
        deployment.service.rotate("alice", overlap=timedelta(days=1))
    deployment.service.rotate("alice", overlap=timedelta())


def test_expired_keys_are_remembered_for_a_week_and_then_forgotten(deployment: Deployment) -> None:
    old = create(deployment)
    deployment.service.rotate("alice", overlap=timedelta())
    deployment.clock.advance(days=6)
    create(deployment, "bob-the-builder")
    assert refusal(deployment, old) is Refusal.EXPIRED
    deployment.clock.advance(days=2)
    create(deployment, "carol")
    assert refusal(deployment, old) is Refusal.UNKNOWN
    assert len(deployment.principals().principals["alice"].keys) == 1


# ---- revoke ----


def test_a_revoked_principal_is_gone_with_its_keys_and_its_usage_key(deployment: Deployment) -> None:
    alice, bob = create(deployment), create(deployment, "bob-the-builder")
    deployment.service.rotate("alice", overlap=timedelta(days=1))
    deployment.service.revoke("alice")
    assert refusal(deployment, alice) is Refusal.UNKNOWN
    assert list(deployment.usage_keys().values()) == [f"{deployment.stack}/bob-the-builder"]
    accepted(deployment, bob)
    with pytest.raises(NotFoundError):
        deployment.service.revoke("alice")


def test_one_key_is_revoked_and_the_others_stay(deployment: Deployment) -> None:
    old = create(deployment)
    new = deployment.service.rotate("alice", overlap=timedelta(days=1)).key
    assert new is not None
    deployment.service.revoke_key("alice", hash_key(old)[:16])
    assert refusal(deployment, old) is Refusal.UNKNOWN
    accepted(deployment, new)
    with pytest.raises(NotFoundError, match="remora key show alice"):
        deployment.service.revoke_key("alice", hash_key(old)[:16])
    with pytest.raises(NotFoundError):
        deployment.service.revoke_key("alice", "")


def test_a_key_may_be_named_by_a_beginning_that_is_its_own(deployment: Deployment) -> None:
    create(deployment)
    alice = deployment.principals().principals["alice"]
    twins = [{"sha256": "ab" + "0" * 62}, {"sha256": "ac" + "0" * 62}]
    deployment.replace({"principals": {"alice": {**json.loads(alice.model_dump_json()), "keys": twins}}})
    with pytest.raises(InvalidArgumentError, match="2 keys of alice begin with a"):
        deployment.service.revoke_key("alice", "a")
    deployment.service.revoke_key("alice", "AB")
    assert [key.sha256[:2] for key in deployment.principals().principals["alice"].keys] == ["ac"]


# ---- whatever interrupts ----

Work = Callable[[Deployment], object]
WORK: dict[str, Work] = {
    "create": lambda deployment: create(deployment, "bob-the-builder", tier="light"),
    "move to another tier": lambda deployment: deployment.service.change("alice", Changes(tier="heavy")),
    "change": lambda deployment: deployment.service.change("alice", Changes(name="Alice")),
    "rotate": lambda deployment: deployment.service.rotate("alice", overlap=timedelta(hours=1)),
    "revoke": lambda deployment: deployment.service.revoke("alice"),
    "revoke one key": lambda deployment: deployment.service.revoke_key(
        "alice", deployment.principals().principals["alice"].keys[0].id
    ),
}


@pytest.mark.parametrize("answered", [False, True], ids=["before a call", "before its answer"])
@pytest.mark.parametrize("name", WORK)
def test_a_command_that_is_killed_anywhere_leaves_what_was_or_what_will_be(
    aws_environment: dict[str, str], name: str, answered: bool
) -> None:
    interrupted, call, finished = 0, 0, False
    while not finished:
        deployment = Deployment.create()
        create(deployment)
        before = deployment.principals()
        try:
            with deployment.killed_at(call, answered=answered):
                WORK[name](deployment)
            finished = True
        except KilledError:
            interrupted += 1
        deployment.check()
        if not finished:
            after = deployment.principals()
            # The same work is done by another process, unless it is done already.
            if after == before:
                WORK[name](deployment.again())
            deployment.check()
        deployment.settle()
        call += 1
    assert interrupted >= 2, "a version is put, and takes effect"


def test_a_principal_without_its_usage_key_gets_one_from_the_next_command(deployment: Deployment) -> None:
    key = create(deployment)
    lost = accepted(deployment, key).usage_key_id
    # AWS does both at once; moto would leave the key in the plan.
    deployment.apigateway.delete_usage_plan_key(usagePlanId=deployment.plans["standard"], keyId=lost)
    deployment.apigateway.delete_api_key(apiKey=lost)
    create(deployment, "bob-the-builder")
    deployment.check()


def test_a_usage_key_that_was_taken_out_of_its_plan_is_put_back(deployment: Deployment) -> None:
    key = create(deployment)
    alice = accepted(deployment, key)
    deployment.apigateway.delete_usage_plan_key(usagePlanId=deployment.plans["standard"], keyId=alice.usage_key_id)
    deployment.service.mend()
    assert accepted(deployment, key) == alice
    deployment.check()


def test_a_principal_that_was_stored_by_hand_keeps_its_usage_key(deployment: Deployment) -> None:
    key, value = generate_key("alice"), "usage-key-that-was-made-by-hand"
    by_hand = deployment.apigateway.create_api_key(name="alice", value=value, enabled=True)["id"]
    deployment.apigateway.create_usage_plan_key(
        usagePlanId=deployment.plans["standard"], keyId=by_hand, keyType="API_KEY"
    )
    deployment.replace(
        {
            "principals": {
                "alice": {
                    "scopes": ["read"],
                    "space": "alice",
                    "usage_key": value,
                    "keys": [{"sha256": hash_key(key)}],
                }
            }
        }
    )
    deployment.service.mend()
    alice = accepted(deployment, key)
    assert (alice.usage_key_id, alice.usage_key) == (by_hand, value)
    deployment.check()
    deployment.service.revoke("alice")
    assert deployment.tier_of(by_hand) is None


def test_usage_keys_of_other_stacks_are_left_alone(deployment: Deployment) -> None:
    stranger = deployment.apigateway.create_api_key(name=f"{deployment.stack}2/alice", enabled=True)["id"]
    deployment.settle()
    assert stranger in {key["id"] for key in deployment.apigateway.get_api_keys()["items"]}


def test_a_usage_key_that_was_marked_while_its_principal_was_being_stored_is_kept(deployment: Deployment) -> None:
    key = create(deployment)
    alice = accepted(deployment, key)
    mark = {"op": "replace", "path": "/description", "value": "Unused since 2026-10-01T00:00:00+00:00; a later one."}
    deployment.apigateway.update_api_key(apiKey=alice.usage_key_id, patchOperations=[mark])  # type: ignore[list-item]
    deployment.service.mend()
    described = deployment.apigateway.get_api_key(apiKey=alice.usage_key_id)["description"]
    assert not described.startswith("Unused")
    deployment.check()


def test_what_aws_does_not_allow_is_said_and_nothing_is_left(deployment: Deployment) -> None:
    from botocore.exceptions import ClientError

    def refuse(model: object, **_: object) -> None:
        message = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: UpdateSecretVersionStage"
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": message}}, "UpdateSecretVersionStage"
        )

    deployment.secretsmanager.meta.events.register("before-call.secrets-manager.UpdateSecretVersionStage", refuse)
    with pytest.raises(PermissionDeniedError, match="is not authorized to perform: UpdateSecretVersionStage"):
        create(deployment)
    assert deployment.usage_keys() == {}

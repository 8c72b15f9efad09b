"""Creates, changes, rotates and revokes principals, in steps of which any may be the last without harm.

A principal in the secret always has its usage key in a plan: the key is made before the secret names it, and removed
after the secret has ceased to. What a command leaves behind that was cut short is a usage key that nobody names; the
next command finds it, and also gives a usage key to a principal that lost its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from remora.auth.keys import (
    CAPACITY,
    DEFAULT_TIER,
    Principals,
    StoredKey,
    StoredPrincipal,
    generate_key,
    hash_key,
)
from remora.auth.principal import Scope
from remora.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, RemoraError, UnavailableError
from remora.principals.store import PrincipalsStore, Snapshot, fitting
from remora.principals.usage_keys import Inventory, UsageKey, UsageKeys

DEFAULT_SCOPES: Final = frozenset({Scope.READ, Scope.WRITE})
MOST_KEYS: Final = 10
"""Keys that one principal may hold at once: room is shared, and every call is compared with each of them."""

EXPIRED_KEPT: Final = timedelta(days=7)
"""How long an expired key is remembered, so that its calls are refused as expired and people can see why."""

_FULL: Final = 0.75
_PLACEHOLDER = UsageKey("x" * 10, "x" * 32)  # of the size of a real one


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """What is asked of a principal that is to be made.

    Attributes:
        id: Its id, `[a-z0-9-]{1,32}`.
        name: Who or what it is.
        scopes: What it may do.
        space: The space it works in; the one that is called like it, unless given.
        tier: The usage plan it is counted in.
        expires_at: When its key expires, if ever.
        identities: Its subjects at an outside issuer.
        with_key: Whether it gets a key; without one it comes in by an identity only.
    """

    id: str
    name: str = ""
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    space: str | None = None
    tier: str = DEFAULT_TIER
    expires_at: datetime | None = None
    identities: tuple[str, ...] = ()
    with_key: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different in a principal; None leaves a thing as it is.

    Attributes:
        name: Who or what it is.
        scopes: What it may do.
        space: The space it works in.
        tier: The usage plan it is counted in.
        identities: Its subjects at an outside issuer.
        disabled: Whether every key of it is refused.
    """

    name: str | None = None
    scopes: frozenset[Scope] | None = None
    space: str | None = None
    tier: str | None = None
    identities: tuple[str, ...] | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a key expires: `at` is None for one that never does."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A principal with the key that it was just given.

    Attributes:
        principal: The principal, as stored.
        key: The key; it can never be shown again. None for a principal without one.
    """

    principal: StoredPrincipal
    key: str | None


class PrincipalsService:
    """Keeps the principals of one deployment."""

    def __init__(
        self,
        store: PrincipalsStore,
        usage_keys: UsageKeys,
        *,
        fixed: frozenset[str] = frozenset(),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Note where the principals and their usage keys are.

        Args:
            store: The principals.
            usage_keys: Their usage keys.
            fixed: Ids of principals that are not for this service to change.
            clock: Tells the time.
        """
        self._store = store
        self._usage_keys = usage_keys
        self._fixed = fixed
        self._clock = clock

    def snapshot(self) -> Snapshot:
        """Return all principals.

        Raises:
            RemoraError: They cannot be read.
        """
        return self._store.read()

    def get(self, principal_id: str) -> StoredPrincipal:
        """Return one principal.

        Raises:
            NotFoundError: There is no such principal.
            RemoraError: The principals cannot be read.
        """
        return _existing(self._store.read().principals, principal_id)

    def create(self, new: NewPrincipal) -> Issued:
        """Make a principal, with a usage key in the plan of its tier.

        Args:
            new: What it shall be.

        Raises:
            AlreadyExistsError: The id, or one of the identities, is taken.
            InvalidArgumentError: Something of it cannot be had, or the secret has no room for it.
            RemoraError: AWS refused or did not answer.
        """
        now = self._now()
        try:
            key = generate_key(new.id)
        except ValueError as error:
            raise InvalidArgumentError(f"{error}.") from None
        if not new.with_key and not new.identities:
            raise InvalidArgumentError("A principal without a key needs an identity to come in by.")
        stored_key = StoredKey(sha256=hash_key(key), created_at=now, expires_at=new.expires_at)
        keys = (stored_key,) if new.with_key else ()

        def built(usage_key: UsageKey) -> StoredPrincipal:
            return _checked(
                {
                    "scopes": new.scopes,
                    "space": new.id if new.space is None else new.space,
                    "usage_key": usage_key.value,
                    "usage_key_id": usage_key.id,
                    "tier": self._known_tier(new.tier),
                    "name": new.name,
                    "identities": new.identities,
                    "keys": keys,
                }
            )

        def added(principals: Principals, principal: StoredPrincipal) -> Principals:
            existing = principals.principals.get(new.id)
            if existing is not None and existing.usage_key == principal.usage_key:
                return principals
            if existing is not None:
                raise AlreadyExistsError(
                    f"There is a principal {new.id} already. Choose another id; or change that one with "
                    f"`remora key set {new.id}`, or give it a new key with `remora key rotate {new.id}`."
                )
            _check_identities(principals, new.id, new.identities)
            return _with(_tidied(principals, now), new.id, principal)

        # Everything that can be refused is refused before anything is made.
        fitting(added(self._store.read().principals, built(_PLACEHOLDER)))
        self.mend()
        usage_key = self._usage_keys.create(new.id, new.tier)
        principal = built(usage_key)
        self._store_with(usage_key, lambda principals: added(principals, principal))
        return Issued(principal, key if new.with_key else None)

    def change(self, principal_id: str, changes: Changes) -> StoredPrincipal:
        """Change a principal; its keys stay.

        Raises:
            AlreadyExistsError: One of the identities belongs to another principal.
            InvalidArgumentError: Something of it cannot be had, or the secret has no room for it.
            NotFoundError: There is no such principal.
            RemoraError: AWS refused or did not answer.
        """
        self._check_changeable(principal_id)
        given: dict[str, Any] = {
            name: value
            for name in ("name", "scopes", "space", "tier", "identities", "disabled")
            if (value := getattr(changes, name)) is not None
        }
        if changes.tier is not None:
            self._known_tier(changes.tier)
        now = self._now()

        def changed(principals: Principals, usage_key: UsageKey | None) -> Principals:
            principal = _existing(principals, principal_id)
            _check_identities(principals, principal_id, changes.identities or ())
            update = dict(given)
            if usage_key is not None:
                update |= {"usage_key": usage_key.value, "usage_key_id": usage_key.id}
            return _with(_tidied(principals, now), principal_id, _updated(principal, update))

        before = self._store.read().principals
        fitting(changed(before, None))
        inventory = self.mend()
        if changes.tier is None or changes.tier == _existing(before, principal_id).tier:
            after = self._store.change(lambda principals: changed(principals, None))
            return _existing(after, principal_id)
        usage_key = self._usage_keys.create(principal_id, changes.tier)
        after = self._store_with(usage_key, lambda principals: changed(principals, usage_key))
        with _afterwards(f"{principal_id} is changed. Its old usage key waits for the next command"):
            # Marked now, so that the first command after its time removes it.
            self._usage_keys.tidy(inventory, _used(after), now)
        return _existing(after, principal_id)

    def rotate(self, principal_id: str, *, overlap: timedelta, expiry: Expiry | None = None) -> Issued:
        """Give a principal a new key; those it has stay valid for a while.

        Args:
            principal_id: Whose key.
            overlap: For how long the old keys stay valid; one that expires sooner does so.
            expiry: When the new key expires. It may be left out where the newest key never does; then the new one
                never does either.

        Raises:
            InvalidArgumentError: It is not said when the new key expires though the newest does, the principal has
                too many keys, or the secret has no room for another.
            NotFoundError: There is no such principal.
            RemoraError: AWS refused or did not answer.
        """
        self._check_changeable(principal_id)
        now = self._now()
        key = generate_key(principal_id)
        end = now + overlap

        def rotated(principals: Principals) -> Principals:
            principal = _existing(principals, principal_id)
            if any(held.sha256 == hash_key(key) for held in principal.keys):
                return principals
            old = [
                held.model_copy(update={"expires_at": min(held.expires_at or end, end)})
                for held in principal.keys
                if not held.has_expired(now)
            ]
            kept = [held for held in old if not held.has_expired(now)]
            if len(kept) >= MOST_KEYS:
                raise InvalidArgumentError(
                    f"{principal_id} holds {len(kept)} valid keys, the most there may be. Nothing was changed. "
                    f"Revoke one with `remora key revoke {principal_id} --key KEYID`, or give a shorter overlap."
                )
            if expiry is None and principal.keys and principal.keys[-1].expires_at is not None:
                raise InvalidArgumentError(
                    f"The newest key of {principal_id} expires. Say when the new one does: --expires 90d, a date, "
                    "or never. Nothing was changed."
                )
            new = StoredKey(sha256=hash_key(key), created_at=now, expires_at=expiry.at if expiry else None)
            update = {"keys": (*(held for held in principal.keys if held.has_expired(now)), *old, new)}
            return _tidied(_with(principals, principal_id, principal.model_copy(update=update)), now)

        fitting(rotated(self._store.read().principals))
        self.mend()
        after = self._store.change(rotated)
        return Issued(_existing(after, principal_id), key)

    def revoke(self, principal_id: str) -> StoredPrincipal:
        """Remove a principal with all its keys, and return what it was. Its space stays.

        Raises:
            NotFoundError: There is no such principal.
            RemoraError: AWS refused or did not answer.
        """
        self._check_changeable(principal_id)
        now = self._now()
        seen: list[StoredPrincipal] = []

        def without(principals: Principals) -> Principals:
            if principal_id not in principals.principals and seen:
                return principals
            seen.append(_existing(principals, principal_id))
            rest = {name: other for name, other in principals.principals.items() if name != principal_id}
            return _tidied(principals.model_copy(update={"principals": rest}), now)

        # First of all: whatever else there is to mend can wait until nobody comes in any more.
        self._store.change(without)
        revoked = seen[-1]
        with _afterwards(f"{principal_id} is revoked. What is left in API Gateway waits for the next command"):
            usage_key_id = revoked.usage_key_id or self._usage_keys.find(revoked.usage_key)
            if usage_key_id:
                # This also ends what the authorizer's cached answers would still allow.
                self._usage_keys.delete(usage_key_id)
            self.mend()
        return revoked

    def revoke_key(self, principal_id: str, key_id: str) -> StoredPrincipal:
        """Remove one key of a principal, and return the principal.

        Args:
            principal_id: Whose key.
            key_id: Id of the key, or as much of its beginning as no other key of the principal has.

        Raises:
            NotFoundError: There is no such principal, or it has no such key.
            InvalidArgumentError: More than one of its keys begins like that.
            RemoraError: AWS refused or did not answer.
        """
        self._check_changeable(principal_id)
        now = self._now()
        seen: list[str] = []

        def without(principals: Principals) -> Principals:
            principal = _existing(principals, principal_id)
            if not seen:
                seen.append(_one_key(principal_id, principal, key_id).sha256)
            rest = tuple(held for held in principal.keys if held.sha256 != seen[0])
            return _tidied(_with(principals, principal_id, principal.model_copy(update={"keys": rest})), now)

        return _existing(self._store.change(without), principal_id)

    def mend(self) -> Inventory:
        """Give a usage key to every principal that lacks one in its plan, and see to keys that nobody names.

        Raises:
            RemoraError: AWS refused or did not answer.
        """
        inventory = self._usage_keys.inventory()
        principals = self._store.read().principals
        found: dict[str, tuple[str, UsageKey]] = {}
        for principal_id, principal in principals.principals.items():
            if principal.tier not in self._usage_keys.tiers:
                continue
            usage_key = self._mended(principal_id, principal, inventory)
            if (usage_key.id, usage_key.value) != (principal.usage_key_id, principal.usage_key):
                found[principal_id] = (principal.usage_key, usage_key)
        if found:
            principals = self._store.change(lambda current: _with_usage_keys(current, found))
        self._usage_keys.tidy(inventory, _used(principals), self._now())
        return inventory

    def _mended(self, principal_id: str, principal: StoredPrincipal, inventory: Inventory) -> UsageKey:
        """Return a principal's usage key, which is in the plan of its tier then."""
        key_id = principal.usage_key_id or self._usage_keys.find(principal.usage_key)
        if key_id is not None and inventory.tiers.get(key_id) == principal.tier:
            return UsageKey(key_id, principal.usage_key)
        if key_id is not None and key_id in inventory.own and key_id not in inventory.tiers:
            self._usage_keys.attach(key_id, principal.tier)
            return UsageKey(key_id, principal.usage_key)
        return self._usage_keys.create(principal_id, principal.tier)

    def _store_with(self, usage_key: UsageKey, change: Callable[[Principals], Principals]) -> Principals:
        """Change the principals so that they name a new usage key, which goes again if they certainly do not."""
        try:
            return self._store.change(change)
        except UnavailableError as error:
            # Whether it took effect is not known: the usage key stays, and a later command removes it if it did not.
            raise UnavailableError(f"{error}. Whether it was done, `remora key list` shows.") from None
        except RemoraError:
            self._usage_keys.delete(usage_key.id)
            raise

    def _known_tier(self, tier: str) -> str:
        if tier not in self._usage_keys.tiers:
            raise InvalidArgumentError(
                f"This deployment has no tier {tier!r}. It has: {', '.join(self._usage_keys.tiers)}."
            )
        return tier

    def _check_changeable(self, principal_id: str) -> None:
        if principal_id in self._fixed:
            raise InvalidArgumentError(f"The principal {principal_id} belongs to the local run and stays as it is.")

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)


@contextmanager
def _afterwards(done: str) -> Iterator[None]:
    """Say what was done all the same, when what comes after it fails."""
    try:
        yield
    except RemoraError as error:
        raise type(error)(f"{done}: {error}") from None


def nearly_full(snapshot: Snapshot) -> str | None:
    """Return a warning if the principals will soon have no more room, and how many more there is room for."""
    if snapshot.size < CAPACITY * _FULL or not snapshot.principals.principals:
        return None
    more = (CAPACITY - snapshot.size) // max(1, snapshot.size // len(snapshot.principals.principals))
    return (
        f"The principals take {snapshot.size:,} of the {CAPACITY:,} bytes that their secret holds: there is room for "
        f"about {more} more like these."
    )


def _existing(principals: Principals, principal_id: str) -> StoredPrincipal:
    principal = principals.principals.get(principal_id)
    if principal is None:
        raise NotFoundError(f"There is no principal {principal_id}. `remora key list` shows those there are.")
    return principal


def _one_key(principal_id: str, principal: StoredPrincipal, key_id: str) -> StoredKey:
    found = [held for held in principal.keys if held.id.startswith(key_id.lower())] if key_id else []
    if not found:
        raise NotFoundError(f"{principal_id} has no key {key_id}. `remora key show {principal_id}` shows its keys.")
    if len(found) > 1:
        raise InvalidArgumentError(f"{len(found)} keys of {principal_id} begin with {key_id}. Give more of the id.")
    return found[0]


def _checked(values: Mapping[str, object]) -> StoredPrincipal:
    """Return the principal that has these values, or say which of them cannot be."""
    try:
        return StoredPrincipal.model_validate(values)
    except ValidationError as error:
        wrong = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
    accepted = {
        "scopes": f"Scopes are {', '.join(Scope)}.",
        "space": "A space has 3 to 512 characters: letters, digits and '.', '_', '-' between them, "
        "a letter or digit first and last. Name one with --space.",
        "tier": "A tier is a word in lower case.",
        "name": "A name has at most 100 characters, and no line breaks.",
        "identities": "An identity has 1 to 255 characters, and no spaces.",
    }
    raise InvalidArgumentError(accepted.get(wrong, f"The {wrong} cannot be stored."))


def _updated(principal: StoredPrincipal, update: Mapping[str, object]) -> StoredPrincipal:
    values = {name: getattr(principal, name) for name in type(principal).model_fields}
    return _checked({**(principal.model_extra or {}), **values, **update})


def _with(principals: Principals, principal_id: str, principal: StoredPrincipal) -> Principals:
    return principals.model_copy(update={"principals": {**principals.principals, principal_id: principal}})


def _with_usage_keys(principals: Principals, found: Mapping[str, tuple[str, UsageKey]]) -> Principals:
    """Return the principals with new usage keys, where they still have the old ones."""
    for principal_id, (old, new) in found.items():
        principal = principals.principals.get(principal_id)
        if principal is not None and principal.usage_key == old:
            update = {"usage_key": new.value, "usage_key_id": new.id}
            principals = _with(principals, principal_id, principal.model_copy(update=update))
    return principals


def _check_identities(principals: Principals, principal_id: str, identities: Iterable[str]) -> None:
    for identity in identities:
        for other_id, other in principals.principals.items():
            if other_id != principal_id and identity in other.identities:
                raise AlreadyExistsError(
                    f"The identity {identity} belongs to the principal {other_id}. Nothing was changed: an identity "
                    "leads to one principal."
                )


def _tidied(principals: Principals, now: datetime) -> Principals:
    """Return the principals without keys that expired long ago."""
    for principal_id, principal in principals.principals.items():
        kept = tuple(held for held in principal.keys if not held.has_expired(now - EXPIRED_KEPT))
        if kept != principal.keys:
            principals = _with(principals, principal_id, principal.model_copy(update={"keys": kept}))
    return principals


def _used(principals: Principals) -> frozenset[str]:
    return frozenset(principal.usage_key_id for principal in principals.principals.values())

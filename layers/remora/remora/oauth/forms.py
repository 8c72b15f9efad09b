"""What the consent pages hand from one step to the next: sealed, short-lived, and bound to one browser.

A request to the authorization endpoint writes nothing. What it said travels in the page itself, signed, so that it
cannot be changed, and tied to a cookie, so that no other site can have the form sent (RFC 9700, section 4.7; RFC
6749, section 10.12). Once the person has signed in, that is sealed in too: the key itself travels once.
"""

import secrets
import time
from datetime import timedelta
from typing import Any, Final, Self

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError

from remora.auth.principal import Principal, Scope
from remora.errors import InvalidArgumentError
from remora.oauth.clients import hash_secret
from remora.oauth.parameters import Pairs
from remora.oauth.people import SignedIn
from remora.oauth.signing import TokenKeys

LIFETIME: Final = timedelta(minutes=10)

_ALGORITHM: Final = "HS256"
_TYPE: Final = "consent-form+jwt"
_PURPOSE: Final = "consent form"


class FormError(InvalidArgumentError):
    """A form has expired, was changed, or is another browser's."""


class ConsentForm(BaseModel):
    """What a page knows of the request that it is about.

    Attributes:
        id: Unique for each request, to count attempts by.
        parameters: Parameters of the authorization request.
        principal_id: Who has signed in; empty before.
        key_id: The key that they showed.
        space: Their space.
        scopes: What they may grant.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    parameters: tuple[tuple[str, str], ...]
    principal_id: str = ""
    key_id: str = ""
    space: str = ""
    scopes: tuple[Scope, ...] = ()

    @classmethod
    def begin(cls, parameters: Pairs) -> Self:
        """Return the form of a new request."""
        return cls(id=secrets.token_urlsafe(16), parameters=tuple(parameters))

    def signed_in(self, person: SignedIn) -> Self:
        """Return the form of the next step, in which a person has signed in."""
        return self.model_copy(
            update={
                "principal_id": person.principal.id,
                "key_id": person.key_id,
                "space": person.principal.space,
                "scopes": tuple(sorted(person.principal.scopes)),
            }
        )

    def signed_out(self) -> Self:
        """Return the form of the first step, in which nobody has signed in."""
        return type(self)(id=self.id, parameters=self.parameters)

    @property
    def person(self) -> SignedIn | None:
        """Who has signed in."""
        if not self.principal_id:
            return None
        return SignedIn(Principal(self.principal_id, frozenset(self.scopes), self.space), self.key_id)


class Forms:
    """Seals forms and opens them.

    Args:
        keys: The signing keys, from which the sealing keys are derived.
    """

    def __init__(self, keys: TokenKeys) -> None:
        self._keys = keys

    def seal(self, form: ConsentForm, browser: str) -> str:
        """Return a form as text for a hidden field.

        Args:
            form: The form.
            browser: Value of the browser's cookie.

        Raises:
            UnavailableError: The signing secret cannot be read.
        """
        claims: dict[str, Any] = {
            "exp": int(time.time() + LIFETIME.total_seconds()),
            "browser": hash_secret(browser),
            "form": form.model_dump(mode="json"),
        }
        key = self._keys.published()[0].derive(_PURPOSE)
        return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"typ": _TYPE})

    def open(self, text: str, browser: str) -> ConsentForm:
        """Return the form that a text is.

        Args:
            text: The hidden field.
            browser: Value of the browser's cookie.

        Raises:
            FormError: It is none, has expired, or is another browser's.
            UnavailableError: The signing secret cannot be read.
        """
        for key in self._keys.published():
            try:
                token = jwt.decode_complete(
                    text, key.derive(_PURPOSE), algorithms=[_ALGORITHM], options={"require": ["exp"]}
                )
                form = ConsentForm.model_validate(token["payload"].get("form"))
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, ValidationError, ValueError):
                break
            bound_to = str(token["payload"].get("browser"))
            if token["header"].get("typ") != _TYPE or not secrets.compare_digest(bound_to, hash_secret(browser)):
                break
            return form
        raise FormError("This page is too old, or was opened in another browser. Start again from the application.")

"""The authorization server's table: registrations, codes, connections, cached documents and counters.

One DynamoDB table with the string key `id` and the time-to-live attribute `expires_at`. Nothing in it is a secret:
codes, refresh tokens and client secrets are there as hashes. Whatever may happen only once is a conditional write,
so that of two callers at the same time one loses. Time to live deletes late, so each reader looks at the time too.

Connections alone have the attributes `principal_id` and `used_at`, by which the index `by-principal` knows them; one
that has ended loses the first, and leaves the index. The index holds keys and nothing else: it lags behind the table,
so what it names is read from the table itself, where a connection that has just ended has ended.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from remora.aws import Aws
from remora.errors import ConflictError, UnavailableError
from remora.oauth.clients import Client, hash_secret
from remora.oauth.connections import CODE_LIFETIME, CONNECTION_LIFETIME, AuthorizationCode, Connection

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, KeysAndAttributesTypeDef

_REPLAY_SECONDS: Final = int(CONNECTION_LIFETIME.total_seconds())
BY_PRINCIPAL: Final = "by-principal"
"""The index of connections by whose they are and when they were last used."""

LISTED: Final = 100
"""How many connections are listed at most: as many as DynamoDB reads at once."""

_CLIENT = TypeAdapter(Client)
_CONNECTION: Final = "connection#"
_END: Final = "SET revoked = :yes REMOVE principal_id"
_BATCH_ATTEMPTS: Final = 3

_Item = Mapping[str, Any]


class CachedDocument(BaseModel):
    """What the URL of a client answered.

    Attributes:
        client: The client that the document describes, or None if none could be made of it.
        problem: Why not, for the person who is looking at the page.
    """

    model_config = ConfigDict(frozen=True)

    client: Client | None
    problem: str = ""


class Store:
    """Reads and writes the table.

    Args:
        aws: Where AWS clients come from.
        table: The table's name.
    """

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    # ---- Clients that registered themselves ----

    def put_client(self, client: Client, expires_at: int) -> None:
        """Keep a client until a moment, in seconds since the epoch.

        Raises:
            UnavailableError: The table did not answer.
        """
        self._put(f"client#{client.id}", expires_at, _CLIENT.dump_json(client).decode())

    def get_client(self, client_id: str) -> Client | None:
        """Return a registered client.

        Raises:
            UnavailableError: The table did not answer.
        """
        item = self._get(f"client#{client_id}")
        return None if item is None else _CLIENT.validate_json(item["data"]["S"])

    def extend_client(self, client_id: str, expires_at: int) -> None:
        """Keep a registered client for longer; one that is gone stays gone.

        Raises:
            UnavailableError: The table did not answer.
        """
        self._update(
            f"client#{client_id}",
            "SET expires_at = :until",
            "attribute_exists(id) AND expires_at < :until",
            {":until": {"N": str(expires_at)}},
        )

    # ---- Codes ----

    def put_code(self, code: str, stored: AuthorizationCode) -> None:
        """Keep a code. Its record outlives it, so that a replay is noticed.

        Raises:
            UnavailableError: The table did not answer.
        """
        self._put(f"code#{hash_secret(code)}", stored.expires_at + _REPLAY_SECONDS, stored.model_dump_json())

    def get_code(self, code: str) -> AuthorizationCode | None:
        """Return a code, redeemed or not, expired or not.

        Raises:
            UnavailableError: The table did not answer.
        """
        item = self._get(f"code#{hash_secret(code)}")
        if item is None:
            return None
        return AuthorizationCode.model_validate_json(item["data"]["S"]).model_copy(update={"used": "used" in item})

    def redeem(self, code: str, connection_id: str, connection: Connection) -> None:
        """Use up a code and open its connection, both or neither.

        Raises:
            ConflictError: Somebody else used the code in between.
            UnavailableError: The table did not answer.
        """
        with self._failures():
            self._aws.dynamodb.transact_write_items(
                TransactItems=[
                    {
                        "Update": {
                            "TableName": self._table,
                            "Key": {"id": {"S": f"code#{hash_secret(code)}"}},
                            "UpdateExpression": "SET used = :yes",
                            "ConditionExpression": "attribute_exists(id) AND attribute_not_exists(used)",
                            "ExpressionAttributeValues": {":yes": {"BOOL": True}},
                        }
                    },
                    {
                        "Put": {
                            "TableName": self._table,
                            "Item": _connection_item(connection_id, connection),
                            "ConditionExpression": "attribute_not_exists(id)",
                        }
                    },
                ]
            )

    # ---- Connections ----

    def get_connection(self, connection_id: str) -> Connection | None:
        """Return a connection, ended or not; None if there never was one, or it expired.

        Raises:
            UnavailableError: The table did not answer.
        """
        item = self._get(_CONNECTION + connection_id)
        return None if item is None else _connection(item)

    def list_connections(self, principal_id: str) -> dict[str, Connection]:
        """Return a principal's connections that have not ended, by id, the one that was used last first.

        No more than `LISTED` of them: whoever has more can end those, and see the next.

        Raises:
            UnavailableError: The table did not answer.
        """
        with self._failures():
            found = self._aws.dynamodb.query(**self._query(principal_id), Limit=LISTED, ScanIndexForward=False)
        items = {item["id"]["S"]: item for item in self._get_all([item["id"]["S"] for item in found["Items"]])}
        # In the order of the index, since a batch comes in any.
        listed = (items[item["id"]["S"]] for item in found["Items"] if item["id"]["S"] in items)
        live = (item for item in listed if _is_fresh(item) and "revoked" not in item)
        return {item["id"]["S"].removeprefix(_CONNECTION): _connection(item) for item in live}

    def rotate(self, connection_id: str, renewed: Connection, *, old: str) -> None:
        """Replace a connection's refresh token.

        Args:
            connection_id: The connection.
            renewed: The connection with its new token and times.
            old: Hash of the token that is used up.

        Raises:
            ConflictError: The old token is no longer the one that is good, or the connection has ended.
            UnavailableError: The table did not answer.
        """
        changed = self._update(
            _CONNECTION + connection_id,
            # Whose it is, too: a connection from before there was an index enters it when it is used.
            "SET refresh_sha256 = :new, expires_at = :until, used_at = :now, principal_id = :principal",
            "refresh_sha256 = :old AND attribute_not_exists(revoked)",
            {
                ":new": {"S": renewed.refresh_sha256},
                ":old": {"S": old},
                ":until": {"N": str(renewed.expires_at)},
                ":now": {"N": str(renewed.used_at)},
                ":principal": {"S": renewed.consent.principal_id},
            },
        )
        if not changed:
            raise ConflictError("The refresh token was used already")

    def revoke(self, connection_id: str) -> None:
        """End a connection; nothing happens if there is none, or it has ended.

        Raises:
            UnavailableError: The table did not answer.
        """
        self._update(_CONNECTION + connection_id, _END, "attribute_exists(id)", {":yes": {"BOOL": True}})

    def revoke_own(self, connection_id: str, principal_id: str) -> bool:
        """End a connection if it is a principal's own, and has not ended.

        Returns:
            Whether it was ended now.

        Raises:
            UnavailableError: The table did not answer.
        """
        # One conditional write, not a look and then a write: nobody else's connection can be reached in between.
        return self._update(
            _CONNECTION + connection_id,
            _END,
            "principal_id = :principal",
            {":yes": {"BOOL": True}, ":principal": {"S": principal_id}},
        )

    def revoke_all(self, principal_id: str) -> int:
        """End all connections of a principal.

        Returns:
            How many there were.

        Raises:
            UnavailableError: The table did not answer; some may have ended.
        """
        ended = 0
        with self._failures():
            for page in self._aws.dynamodb.get_paginator("query").paginate(**self._query(principal_id)):
                for item in page["Items"]:
                    ended += self.revoke_own(item["id"]["S"].removeprefix(_CONNECTION), principal_id)
        return ended

    # ---- What clients' URLs answered ----

    def put_document(self, url: str, document: CachedDocument, expires_at: int) -> None:
        """Keep what a client's URL answered until a moment, in seconds since the epoch.

        Raises:
            UnavailableError: The table did not answer.
        """
        self._put(f"document#{hash_secret(url)}", expires_at, document.model_dump_json())

    def get_document(self, url: str) -> CachedDocument | None:
        """Return what a client's URL answered lately.

        Raises:
            UnavailableError: The table did not answer.
        """
        item = self._get(f"document#{hash_secret(url)}")
        if item is None:
            return None
        try:
            return CachedDocument.model_validate_json(item["data"]["S"])
        except ValidationError:
            return None  # An older version of this code wrote it: ask again.

    # ---- Counters ----

    def count(self, name: str, expires_at: int) -> int:
        """Count one more, and return how many there are now.

        Args:
            name: What is counted; a new name starts at 1.
            expires_at: When the count may be forgotten, in seconds since the epoch.

        Raises:
            UnavailableError: The table did not answer.
        """
        with self._failures():
            answer = self._aws.dynamodb.update_item(
                TableName=self._table,
                Key={"id": {"S": f"count#{hash_secret(name)}"}},
                UpdateExpression="ADD times :one SET expires_at = :until",
                ExpressionAttributeValues={":one": {"N": "1"}, ":until": {"N": str(expires_at)}},
                ReturnValues="UPDATED_NEW",
            )
        return int(answer["Attributes"]["times"]["N"])

    # ---- The table ----

    def _query(self, principal_id: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "IndexName": BY_PRINCIPAL,
            "KeyConditionExpression": "principal_id = :principal",
            "ExpressionAttributeValues": {":principal": {"S": principal_id}},
        }

    def _get(self, key: str) -> _Item | None:
        with self._failures():
            answer = self._aws.dynamodb.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True)
        item = answer.get("Item")
        return item if item is not None and _is_fresh(item) else None

    def _get_all(self, keys: Sequence[str]) -> list[_Item]:
        # At most as many as one request may name.
        wanted: KeysAndAttributesTypeDef = {"Keys": [{"id": {"S": key}} for key in keys], "ConsistentRead": True}
        items: list[_Item] = []
        for _ in range(_BATCH_ATTEMPTS):
            if not wanted["Keys"]:
                return items
            with self._failures():
                answer = self._aws.dynamodb.batch_get_item(RequestItems={self._table: wanted})
            items += answer["Responses"].get(self._table, [])
            wanted = {
                "Keys": answer["UnprocessedKeys"].get(self._table, {"Keys": []})["Keys"],
                "ConsistentRead": True,
            }
        raise UnavailableError("The authorization server's table did not answer; try again.")

    def _put(self, key: str, expires_at: int, data: str) -> None:
        with self._failures():
            self._aws.dynamodb.put_item(
                TableName=self._table,
                Item={"id": {"S": key}, "expires_at": {"N": str(expires_at)}, "data": {"S": data}},
            )

    def _update(self, key: str, update: str, condition: str, values: "Mapping[str, AttributeValueTypeDef]") -> bool:
        try:
            with self._failures():
                self._aws.dynamodb.update_item(
                    TableName=self._table,
                    Key={"id": {"S": key}},
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
        except ConflictError:
            return False
        return True

    @contextmanager
    def _failures(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if _condition_failed(error.response):
                raise ConflictError("Somebody else changed it in between") from None
            raise UnavailableError("The authorization server's table did not answer; try again.") from error
        except BotoCoreError as error:
            raise UnavailableError("The authorization server's table did not answer; try again.") from error


def _condition_failed(answer: Mapping[str, Any]) -> bool:
    if answer["Error"]["Code"] == "ConditionalCheckFailedException":
        return True
    # A transaction that met another one is no answer yet: only a condition that was looked at is.
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in answer.get("CancellationReasons", ()))


def _is_fresh(item: _Item) -> bool:
    return int(item["expires_at"]["N"]) > time.time()


def _connection(item: _Item) -> Connection:
    stored = Connection.model_validate_json(item["data"]["S"])
    return stored.model_copy(
        update={
            "refresh_sha256": item["refresh_sha256"]["S"],
            "expires_at": int(item["expires_at"]["N"]),
            "used_at": int(item["used_at"]["N"]) if "used_at" in item else None,
            "revoked": "revoked" in item,
        }
    )


def _connection_item(connection_id: str, connection: Connection) -> "dict[str, AttributeValueTypeDef]":
    # What conditions and the index look at stands outside the document.
    return {
        "id": {"S": _CONNECTION + connection_id},
        "principal_id": {"S": connection.consent.principal_id},
        "used_at": {"N": str(connection.used_at or 0)},
        "expires_at": {"N": str(connection.expires_at)},
        "refresh_sha256": {"S": connection.refresh_sha256},
        "data": {"S": connection.model_dump_json()},
    }


def code_expiry(now: float) -> int:
    """Return when a code that is made now expires, in seconds since the epoch."""
    return int(now + CODE_LIFETIME.total_seconds())


def connection_expiry(now: float) -> int:
    """Return when a connection that is used now expires, in seconds since the epoch."""
    return int(now + CONNECTION_LIFETIME.total_seconds())

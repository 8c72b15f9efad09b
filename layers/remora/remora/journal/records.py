"""How the journal's objects are written as JSON and read again, also by later releases."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from remora.errors import UnavailableError, UnsupportedError

SCHEMA = 1


class Record(BaseModel):
    """The content of an object. Its JSON has the field `schema`, so that a later release can tell how to read it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    schema_number: int = Field(default=SCHEMA, alias="schema", ge=1, le=SCHEMA)

    def to_bytes(self) -> bytes:
        """Return the record as JSON in UTF-8."""
        return self.model_dump_json(by_alias=True).encode()

    @classmethod
    def from_bytes(cls, body: bytes, key: str) -> Self:
        """Read a record.

        Args:
            body: What `to_bytes` returned.
            key: The object's key, for the message.

        Raises:
            UnsupportedError: A later release wrote it.
            UnavailableError: It is damaged.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            if any(problem["loc"] == ("schema",) for problem in problems):
                raise UnsupportedError(
                    f"The journal's object {key} was written by a newer release of Remora. Deploy that release or "
                    "a later one."
                ) from None
            raise damaged(key) from None


def damaged(key: str) -> UnavailableError:
    """Return the error for an object that does not hold what its key says."""
    return UnavailableError(
        f"The journal's object {key} is damaged. The operator can bring back an earlier version of it."
    )

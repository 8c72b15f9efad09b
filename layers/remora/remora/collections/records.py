"""Checks the records of a write before anything is sent: columns of one length, ids, texts, metadata, vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from secrets import choice
from typing import Any, NoReturn

from pydantic_core import to_json

from remora.chroma.vectors import NotFiniteError, dimension, pack
from remora.collections.filters import int_fits
from remora.collections.limits import (
    MAX_DIMENSION,
    MAX_DOCUMENT_BYTES,
    MAX_ID_BYTES,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_KEYS,
    MAX_RECORDS_PER_CALL,
    MAX_URI_BYTES,
)
from remora.errors import InvalidArgumentError

# No vowels, nothing that is read for something else: ids that a person can dictate and a model copies right.
_ID_ALPHABET = "0123456789bcdfghjkmnpqrstvwxyz"
_ID_CHARACTERS = 14


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record that can be written.

    Attributes:
        id: Its id.
        document: Its text.
        embedding: Its vector, packed, when the caller gave one.
        metadata: Its metadata; in an update, keys with None are removed.
        uri: Its URI.
        estimated_bytes: About how large it is in a request, a vector of Remora's own included.
    """

    id: str
    document: str | None
    embedding: bytes | None
    metadata: Mapping[str, Any] | None
    uri: str | None
    estimated_bytes: int


def new_id() -> str:
    """Return an id that is short and, at 68 random bits, unique in a collection."""
    return "".join(choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS))


def check_ids(ids: Sequence[str], *, what: str = "ids") -> list[str]:
    """Return the ids of a call if each is usable and none is given twice.

    Raises:
        InvalidArgumentError: One is empty, too long, not text, or given twice; or there are too many.
    """
    if isinstance(ids, str) or not isinstance(ids, Sequence):
        _refuse(f"{what} is a list of texts")
    if len(ids) > MAX_RECORDS_PER_CALL:
        _refuse(f"{what} has {len(ids)} entries; one call takes up to {MAX_RECORDS_PER_CALL}")
    seen: set[str] = set()
    twice: list[str] = []
    for index, record_id in enumerate(ids):
        _check_text(record_id, f"{what}[{index}]", MAX_ID_BYTES)
        if not record_id:
            _refuse(f"{what}[{index}] is empty; an id has at least one character")
        if record_id in seen:
            twice.append(record_id)
        seen.add(record_id)
    if twice:
        shown = ", ".join(repr(record_id) for record_id in twice[:5])
        _refuse(f"{what} names the same id more than once: {shown}{' and more' if len(twice) > 5 else ''}")
    return list(ids)


def check_records(
    *,
    ids: Sequence[str] | None,
    documents: Sequence[str | None] | None,
    embeddings: Sequence[Sequence[float] | None] | None,
    metadatas: Sequence[Mapping[str, Any] | None] | None,
    uris: Sequence[str | None] | None,
    own_dimension: int,
    update: bool,
) -> list[CheckedRecord]:
    """Check the columns of a write and return its records.

    Args:
        ids: Ids, unique in the call; None to have them made.
        documents: Texts.
        embeddings: Vectors of one dimension.
        metadatas: Metadata; an empty one counts as none.
        uris: URIs.
        own_dimension: Length of the vectors that Remora's embedder would add, for the size estimate.
        update: Whether records exist already: parts may be missing, and metadata may hold None.

    Raises:
        InvalidArgumentError: Something cannot be stored; the message says what and where.
    """
    columns = {"documents": documents, "embeddings": embeddings, "metadatas": metadatas, "uris": uris}
    for name, column in columns.items():
        if column is not None and (isinstance(column, str | Mapping) or not isinstance(column, Sequence)):
            _refuse(f"{name} is a list with one entry for each record")
    count = _count({"ids": ids, **columns})
    if ids is None and update:
        _refuse("ids are needed to say which records to update")
    checked_ids = check_ids(ids) if ids is not None else [new_id() for _ in range(count)]
    checked_documents = [_document(text, index) for index, text in enumerate(documents or [None] * count)]
    packed = _embeddings(embeddings, count, update=update)
    checked_metadatas = [
        _record_metadata(metadata, f"metadatas[{index}]", update=update)
        for index, metadata in enumerate(metadatas or [None] * count)
    ]
    checked_uris = [_uri(uri, index) for index, uri in enumerate(uris or [None] * count)]
    records: list[CheckedRecord] = []
    for record_id, document, embedding, metadata, uri in zip(
        checked_ids, checked_documents, packed, checked_metadatas, checked_uris, strict=True
    ):
        if update:
            if document is None and embedding is None and metadata is None and uri is None:
                _refuse(f"record {record_id!r} brings nothing to change; give a document, embedding, metadata or uri")
        elif document is None and embedding is None:
            _refuse(f"record {record_id!r} has neither a document nor an embedding; give one of them")
        records.append(
            CheckedRecord(
                record_id,
                document,
                embedding,
                metadata,
                uri,
                _estimate(record_id, document, embedding, metadata, uri, own_dimension),
            )
        )
    return records


def _count(columns: Mapping[str, Sequence[Any] | None]) -> int:
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    if not lengths:
        _refuse("nothing to write: give documents or embeddings")
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{length} {name}" for name, length in lengths.items())
        _refuse(f"the lists have different lengths ({given}); each record needs one entry in every list given")
    count = next(iter(lengths.values()))
    if count == 0:
        _refuse("the lists are empty; give at least one record")
    if count > MAX_RECORDS_PER_CALL:
        _refuse(f"one call takes up to {MAX_RECORDS_PER_CALL} records, these are {count}")
    return count


def _estimate(
    record_id: str,
    document: str | None,
    embedding: bytes | None,
    metadata: Mapping[str, Any] | None,
    uri: str | None,
    own_dimension: int,
) -> int:
    vector = len(embedding) if embedding is not None else 4 * own_dimension
    texts = len(record_id) + len(uri or "") + 3 * len(document or "")
    return texts + vector * 4 // 3 + (len(to_json(metadata)) if metadata else 0)


def _document(document: object, index: int) -> str | None:
    if document is None:
        return None
    return _check_text(document, f"documents[{index}]", MAX_DOCUMENT_BYTES)


def _uri(uri: object, index: int) -> str | None:
    if uri is None:
        return None
    return _check_text(uri, f"uris[{index}]", MAX_URI_BYTES)


def pack_embedding(embedding: object, path: str) -> bytes:
    """Return a caller's vector packed for Chroma.

    Raises:
        InvalidArgumentError: It is not a list of finite numbers.
    """
    if isinstance(embedding, str | bytes | Mapping) or not isinstance(embedding, Sequence) or not embedding:
        _refuse(f"{path} is not an embedding; that is a list of at least one number")
    if len(embedding) > MAX_DIMENSION:
        _refuse(f"{path} has {len(embedding)} numbers; an embedding has up to {MAX_DIMENSION}")
    if bool in set(map(type, embedding)):
        _refuse(f"{path} holds something that is not a number")
    try:
        return pack(embedding)
    except NotFiniteError:
        _refuse(f"{path} holds NaN, an infinity, or a number too large for a 32-bit float")
    except TypeError:
        _refuse(f"{path} holds something that is not a number")


def _embeddings(
    embeddings: Sequence[Sequence[float] | None] | None, count: int, *, update: bool
) -> Sequence[bytes | None]:
    if embeddings is None:
        return [None] * count
    packed: list[bytes | None] = []
    expected: int | None = None
    for index, embedding in enumerate(embeddings):
        if embedding is None:
            if not update:
                _refuse(f"embeddings[{index}] is missing; give an embedding for every record, or none at all")
            packed.append(None)
            continue
        vector = pack_embedding(embedding, f"embeddings[{index}]")
        expected = expected if expected is not None else dimension(vector)
        if dimension(vector) != expected:
            _refuse(
                f"embeddings[{index}] has {dimension(vector)} dimensions, the ones before it {expected}; "
                "all embeddings of a collection have one dimension"
            )
        packed.append(vector)
    return packed


def _record_metadata(metadata: object, path: str, *, update: bool) -> Mapping[str, Any] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        _refuse(f"{path} is not an object of keys and values")
    checked: dict[str, Any] = {}
    for key, value in metadata.items():
        where = _check_key(key, path)
        if value is None:
            # Chroma's clients drop None on adding; on updating it removes the key.
            if update:
                checked[key] = None
            continue
        checked[key] = _array(value, where) if isinstance(value, list | tuple) else _scalar(value, where, arrays=True)
    return _bounded(checked, path)


def check_collection_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a collection's metadata if Chroma can hold it; an empty one is none.

    Only scalars: a server of version 1.5.9 drops the connection when a value is an array.

    Raises:
        InvalidArgumentError: A key or value cannot be stored; the message says which.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        _refuse("metadata is not an object of keys and values")
    checked = {key: _scalar(value, _check_key(key, "metadata"), arrays=False) for key, value in metadata.items()}
    return _bounded(checked, "metadata")


def _bounded(metadata: dict[str, Any], path: str) -> dict[str, Any] | None:
    if len(metadata) > MAX_METADATA_KEYS:
        _refuse(f"{path} has {len(metadata)} keys; there may be up to {MAX_METADATA_KEYS}")
    if metadata and (size := len(to_json(metadata))) > MAX_METADATA_BYTES:
        _refuse(f"{path} is {size} bytes of JSON; there may be up to {MAX_METADATA_BYTES}")
    return metadata or None


def _check_key(key: object, path: str) -> str:
    _check_text(key, f"a key of {path}", MAX_METADATA_KEY_BYTES)
    if not isinstance(key, str) or not key or key.startswith(("#", "$", "chroma:")):
        _refuse(
            f"{path} has the key {key!r}; a key has at least one character and does not begin with '#', '$' or "
            "'chroma:', which Chroma keeps for itself"
        )
    return f"{path}.{key if len(key) <= 40 else key[:40] + '…'}"


def _scalar(value: object, path: str, *, arrays: bool) -> str | bool | int | float:
    if isinstance(value, str):
        return _check_text(value, path, MAX_METADATA_BYTES)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not int_fits(value):
            _refuse(f"{path} is a whole number outside -2^63 to 2^63-1")
        return value
    if isinstance(value, float):
        if not isfinite(value):
            _refuse(f"{path} is not a finite number")
        return value
    accepted = "a text, a number, true or false" + (", or a list of one of these kinds" if arrays else "")
    return _refuse(f"{path} is {type(value).__name__}; a value is {accepted}")


def _array(values: Sequence[object], path: str) -> list[Any]:
    if not values:
        _refuse(f"{path} is an empty list, which Chroma does not keep; leave the key out")
    checked = [_scalar(value, f"{path}[{index}]", arrays=False) for index, value in enumerate(values)]
    kinds = {str if isinstance(item, str) else bool if isinstance(item, bool) else float for item in checked}
    if len(kinds) > 1:
        _refuse(f"{path} mixes kinds; a list holds only texts, only numbers, or only true and false")
    return checked


def _check_text(text: object, path: str, max_bytes: int) -> str:
    if not isinstance(text, str):
        _refuse(f"{path} is not a text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        _refuse(f"{path} holds half of a surrogate pair, which is not Unicode text")
    if size > max_bytes:
        _refuse(f"{path} has {size} bytes of UTF-8; there may be up to {max_bytes}")
    return text


def _refuse(problem: str) -> NoReturn:
    raise InvalidArgumentError(f"{problem}.")

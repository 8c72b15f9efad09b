"""Argument types that several tools share, each described once, in as few words as a model needs."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from remora.collections.limits import DEFAULT_MAX_TOKENS, MAX_MAX_TOKENS, MIN_MAX_TOKENS
from remora.collections.models import HnswChanges, HnswSettings, Include

CollectionName = Annotated[str, Field(min_length=1, max_length=512)]
Cursor = Annotated[str | None, Field(description="next_cursor of the previous page", max_length=4096)]
MaxTokens = Annotated[int, Field(ge=MIN_MAX_TOKENS, le=MAX_MAX_TOKENS, description="Size limit of the answer")]
DEFAULT_TOKENS = DEFAULT_MAX_TOKENS

Ids = list[str]
Documents = list[str | None]
Embeddings = list[list[float]]
Metadatas = list[dict[str, Any] | None]
Uris = list[str | None]

Where = Annotated[
    dict[str, Any] | None,
    Field(
        description='Metadata filter: {"year": {"$gte": 2024}}; $eq $ne $gt $gte $lt $lte $in $nin $contains $and $or'
    ),
]
WhereDocument = Annotated[
    dict[str, Any] | None,
    Field(description='Text filter, case-sensitive: {"$contains": "word"}; $not_contains $regex $and $or'),
]
IncludeParts = Annotated[list[Include], Field(description="Parts of each record to return")]
DEFAULT_INCLUDE = [Include.DOCUMENTS, Include.METADATAS]


class _HnswOnCreation(HnswSettings, extra="forbid"):
    """HNSW settings as a caller gives them: a misspelt one is refused."""


class _HnswLater(HnswChanges, extra="forbid"):
    """Changes of HNSW settings as a caller gives them."""


# Written out, the settings would cost as many tokens as the rest of the tool.
_ANY_OBJECT = WithJsonSchema({"type": "object"})
Hnsw = Annotated[
    _HnswOnCreation | None,
    _ANY_OBJECT,
    Field(description="Index: ef_construction, ef_search, max_neighbors, resize_factor, sync_threshold"),
]
HnswUpdate = Annotated[
    _HnswLater | None,
    _ANY_OBJECT,
    Field(description="Index: ef_search, max_neighbors, resize_factor, sync_threshold"),
]
CollectionMetadata = Annotated[dict[str, Any] | None, Field(description="Scalar values")]

"""One similarity from 0 to 1 whatever a collection's space, so that `min_score` means the same everywhere.

The score is the cosine of query and record, with negative cosines counted as 0. Chroma's distances d (its
`hnsw:space` documentation) give it back as follows, q being the query and v the record:

- `cosine`: d = 1 - cos, so cos = 1 - d
- `l2`: d = |q - v|², so cos = (|q|² + |v|² - d) / (2 |q| |v|); for unit vectors 1 - d / 2
- `ip`: d = 1 - q·v, so cos = (1 - d) / (|q| |v|)
"""

from remora.collections.models import Space


def cosine(space: str | None, distance: float, query_norm: float, record_norm: float) -> float:
    """Return the cosine that a distance stands for.

    Args:
        space: The collection's space; None counts as Chroma's default, `l2`.
        distance: Chroma's distance.
        query_norm: Length of the query's vector.
        record_norm: Length of the record's vector.
    """
    if space == Space.COSINE:
        return 1.0 - distance
    product = query_norm * record_norm
    if product == 0.0:
        return 0.0
    if space == Space.IP:
        return (1.0 - distance) / product
    return (query_norm**2 + record_norm**2 - distance) / (2.0 * product)


def to_score(cosine_similarity: float) -> float:
    """Return a cosine as a score, cut to 0..1 and to four digits."""
    return round(min(1.0, max(0.0, cosine_similarity)), 4)


def scaled(values: list[float]) -> list[float]:
    """Scale a query's values linearly so that the least becomes 0 and the greatest 1; equal ones become 1."""
    if not values:
        return []
    least, greatest = min(values), max(values)
    if greatest == least:
        return [1.0] * len(values)
    return [(value - least) / (greatest - least) for value in values]

"""How much one call may ask for or bring: every bound of the collection services, and why it is what it is."""

from remora.budget import DEFAULT_MAX_TOKENS, MAX_MAX_TOKENS, MIN_MAX_TOKENS

__all__ = ["DEFAULT_MAX_TOKENS", "MAX_MAX_TOKENS", "MIN_MAX_TOKENS"]

MAX_RECORDS_PER_CALL = 10_000
"""Records in one write, ids in one selection. API Gateway takes 10 MB a request, which fewer often fill."""

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
"""UTF-8 bytes of one document. A whole book is about 1 MB."""

MAX_ID_BYTES = 512
MAX_URI_BYTES = 8 * 1024
MAX_METADATA_KEYS = 256
MAX_METADATA_KEY_BYTES = 512
MAX_METADATA_BYTES = 64 * 1024
"""Compact JSON of one record's or collection's metadata."""

MAX_DIMENSION = 16_384
"""Numbers in one embedding; the largest models in use have 8,192."""

WRITE_RECORDS = 1_000
"""Records in one request to Chroma at most, whatever more the server takes (5,461 in 1.5.9).

A write of 1,000 × 384 takes about 1.5 s on two cores: what a deadline interrupts is then small, and what was
stored is known closely."""

WRITE_BYTES = 4 * 1024 * 1024
"""Estimated bytes of one request to Chroma at most; the server refuses more than 40 MB."""

EMBED_TEXTS = 32
"""Texts embedded at once; the deadline is looked at between two such slices."""

EMBED_RECORDS_PER_WRITE = 256
"""Records embedded before they are written, so that a deadline loses little of the work."""

WRITE_RESERVE_SECONDS = 1.5
"""What must be left of the deadline for embedding to go on: the time to write what is embedded already."""

MAX_QUERIES = 32
MAX_QUERY_TEXT_BYTES = 32 * 1024
MAX_RESULTS = 1_000
MAX_PAGE_RECORDS = 1_000
MAX_PAGE_COLLECTIONS = 1_000

PAGE_READ = 32
"""Records fetched at once while a page is filled; the token budget usually ends it within the first."""

SCAN_IDS = 10_000
"""Ids fetched at once where a whole selection is walked; about 25 ms."""

LIST_COLLECTIONS = 1_000
"""Collections fetched at once; each comes with its schema, about 1.5 KB."""

COUNT_CONCURRENCY = 8
"""Counts asked for side by side while collections are listed."""

COPY_RECORDS = 500
"""Records of one page of a copy."""

COPY_RESERVE_SECONDS = 2.0
"""What is kept of the deadline to remove a copy that cannot be finished."""

MAX_SHOWN_IDS = 100
"""Ids that the answer to a deletion lists."""

MAX_FILTER_DEPTH = 16
MAX_FILTER_CLAUSES = 200
MAX_FILTER_VALUES = 5_000
MAX_FILTER_TEXT_BYTES = 8 * 1024
"""Bounds of one filter: its nesting, its conditions, the values of its lists together, one text in it."""

MAX_SEARCHES = 32

MAX_KEYWORDS = 16
"""Different words of a query that keyword search looks for."""

MAX_POSTINGS = 20_000
"""Ids taken for one keyword; a word that more records have says next to nothing about any."""

KEYWORD_CANDIDATES = 300
"""Records whose texts are read to be scored by BM25, those with the most telling keywords first."""

KEYWORD_READ = 50
KEYWORD_READ_CHARACTERS = 16_000_000
"""Candidates' texts read at once, and all together: what fits into a small function's memory."""

KEYWORD_CONCURRENCY = 4
"""Keywords looked up side by side."""

HYBRID_DEPTH = 50
"""Nearest neighbours and keyword hits that hybrid search fuses, at least."""

PROOF_RECORDS = 5
"""Records compared to find out whether an unnamed embedding function is the one Remora has."""

MIN_EF, MAX_EF = 1, 10_000
MIN_NEIGHBORS, MAX_NEIGHBORS = 2, 512
MIN_RESIZE_FACTOR, MAX_RESIZE_FACTOR = 1.05, 10.0
MIN_SYNC_THRESHOLD, MAX_SYNC_THRESHOLD = 2, 1_000_000
"""HNSW settings that make a working index. Chroma stores any number, such as an ef_search of 0."""

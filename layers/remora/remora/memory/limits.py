"""How much one call of the memory may bring or ask for: every bound, and why it is what it is."""

MAX_CONTENT_CHARACTERS = 100_000
"""Of one memory: about 70 pages, which embed in some 8 s. Longer texts are documents, for `memory_ingest`."""

MAX_CALL_CHARACTERS = 1_000_000
"""Of all contents of one call."""

MAX_MEMORIES_PER_CALL = 100
MAX_TURNS_PER_CALL = 500
MAX_IDS_PER_CALL = 100

MAX_TAGS = 32
MAX_TAG_CHARACTERS = 128
MAX_TYPE_CHARACTERS = 64
MAX_SOURCE_CHARACTERS = 1_024
MAX_CONVERSATION_ID_CHARACTERS = 256
MAX_TURN_ID_CHARACTERS = 128
MAX_SPEAKER_CHARACTERS = 128
MAX_METADATA_KEYS = 32
MAX_METADATA_KEY_CHARACTERS = 64
MAX_METADATA_BYTES = 8 * 1024
"""Compact JSON of one memory's metadata: it describes a memory, the content is elsewhere."""

MAX_QUERY_CHARACTERS = 4_000
MAX_HITS = 100
MAX_PAGE_MEMORIES = 500

SIMILAR_FLOOR = 0.9
"""Cosine similarity from which a stored memory is shown as a near-duplicate.

all-MiniLM-L6-v2 gives paraphrases of a sentence about 0.8 to 0.95, sentences on the same subject 0.4 to 0.7."""

SIMILAR_SHOWN = 3
EXCERPT_CHARACTERS = 160

MAX_CHANGED_PER_CALL = 2_000
"""Memories that one deletion takes; each is three objects in the journal, some 10 s for all."""

PREVIEWED = 10
SHOWN_IDS = 100
"""Memories that a preview shows, and ids that an answer lists."""

STALE_SECONDS = 60
"""Age from which an unfinished write is taken for abandoned: no invocation of the connector lives half as long."""

FINISHED_PER_CALL = 50
"""Memories of abandoned writes that one call finishes besides its own work; the upkeep takes all."""

JOURNAL_RESERVE_SECONDS = 1.5
"""What is kept of a write's time for the journal after Chroma has answered, or has not."""

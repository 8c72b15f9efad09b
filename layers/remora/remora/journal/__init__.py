"""The journal: every write of a memory, kept in S3 before anything reaches Chroma.

What a space's part of the bucket holds:

    memories/<space>/<id>/<version>.json    an entry: who wrote what and when, with the memory as it was from then on
    claims/<space>/<sha256 of a key>.json   which memory an idempotency key belongs to
    conversations/<space>/<key>.json        a conversation's turns, in the order of their positions
    pending/<space>/<time>-<random>.json    an intent: the memories that a call is about to write

**Where a memory stands is its newest entry**, its head. The index in Chroma is derived from heads and from nothing
else, and bringing the index to where a head stands (settling) is idempotent. S3 reads, listings included, are
strongly consistent: whoever looks after a write was answered sees it.

**The order of a write** is claim or reserve, begin, append, settle, finish:

1. `claim` or `reserve` decide which ids the call writes. A death here leaves a name without an entry: nothing that
   anybody was told is kept, and the next call with the same content or turn goes on under the same id.
2. `begin` names *every id that the call will append to*, also one that it found claimed by somebody else and not
   written. Were it to rely on that other call's intent, the upkeep could finish that one (there is no entry yet, so
   nothing is to be settled) before this call appends.
3. `append` puts the entries. From here on they are kept, and the call may be answered with success.
4. The index is settled for those ids.
5. `finish` removes the intent, if the outcome of every append is known and every id is settled. Otherwise `release`
   leaves it to others, at once instead of when it is stale.

**Nothing is lost.** Invariant: each entry is in the index as its head says, or an intent names its id. An entry is
put only after an intent that names it, and that intent goes only after settling, which reads the head after the
put. Whoever completes a stale intent (settle, finish) keeps the invariant too, as the call that made the intent can
append nothing more: an intent is stale when it is older than any call can last, and requests are not begun or
repeated after a call's deadline, not even by a process that was frozen meanwhile.

**Exactly once.** An entry is put under a key that holds its version, on condition that the key does not exist: of
several writers of one version one wins, and the others are told so before anything of theirs is kept. A claim is
made in the same way and changed only by compare-and-swap, so ten calls that store one content end with one id, and
with one first version of it. A conversation's manifest is an append-only list changed by compare-and-swap, so a
turn has one position and no position has two. A writer whose answer was lost on its way knows its own object again
by what is random in it, so repeating a request is safe, for botocore as for a caller.

**A purge** appends a tombstone, then takes the memory out of every older entry and destroys what S3 kept of it; the
keys stay. They must: were a key free again, a writer who had read the memory before the purge could put its version
there, be told that it succeeded, and leave content behind that nobody looks for. Settling a purged memory repeats
the purge, which finishes one that died half way.

Contents are in the bodies of objects only: never in keys, metadata, tags or logs.
"""

from remora.journal.claims import Claim
from remora.journal.conversations import Manifest
from remora.journal.entries import Action, Entry
from remora.journal.intents import Intent, count_intents
from remora.journal.journal import Journal
from remora.journal.layout import ALL_MEMORIES, is_memory_id
from remora.journal.store import JournalStore
from remora.journal.sweeping import sweep
from remora.journal.versions import Head, VersionConflictError

__all__ = [
    "ALL_MEMORIES",
    "Action",
    "Claim",
    "Entry",
    "Head",
    "Intent",
    "Journal",
    "JournalStore",
    "Manifest",
    "VersionConflictError",
    "count_intents",
    "is_memory_id",
    "sweep",
]

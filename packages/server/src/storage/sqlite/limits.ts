/** Bounds of the SQLite store. Measured where a comment says so (spec/adr/0005-storage.md). */

/** Transactions that wait for the disk before `commit` makes its caller wait. */
export const QUEUED_COMMITS_MAX = 8192;
export const QUEUED_BYTES_MAX = 32 * 1024 * 1024;

/** One packet is one SQLite transaction, so these bound how long a commit takes. */
export const PACKET_COMMITS_MAX = 1024;
export const PACKET_BYTES_MAX = 1024 * 1024;
/** One being written while the next is ready, so that the writer never waits for the event loop. */
export const PACKETS_IN_FLIGHT_MAX = 2;

/**
 * Under load the next packet waits this long for company, since a transaction costs
 * about 200 us of CPU however little is in it: at 10,000 appends a second that halves
 * the cost of each. Load means that the last packet held this many transactions; a
 * caller that is alone never waits, and neither does a packet that is well filled.
 */
export const LINGER_MS = 1;
export const LINGER_COMMITS_MIN = 4;
export const LINGER_COMMITS_MAX = 128;

/** Reads of one message to the reader thread, which share a snapshot. */
export const READ_BATCH_MAX = 256;
export const READ_BATCHES_IN_FLIGHT_MAX = 2;

/** Log pages (4 KiB) after which the checkpoint thread starts, and at which the writer itself finishes the work. */
export const WAL_CHECKPOINT_PAGES = 16384;
export const WAL_PAGES_MAX = 65536;

/** How long another process (an operator's shell, a backup) may hold a lock before a commit fails as `locked`. */
export const BUSY_TIMEOUT_MS = 5000;

export const WRITER_CACHE_KIB = 32768;
export const READER_CACHE_KIB = 8192;

/** Conversations whose number, head and epoch the writer remembers. */
export const CONVERSATIONS_CACHED_MAX = 65536;

/** Entries that one `log.prune` drops: a long log must not hold up everybody's commit. */
export const PRUNE_ENTRIES_MAX = 4096;

/** Followers that caught up and are still listed as lagging, before the list is swept. */
export const CAUGHT_UP_MAX = 1024;

/** Shape of a stored or packed hash; BLAKE3-256 has 32. */
export const HASH_BYTES_MAX = 64;

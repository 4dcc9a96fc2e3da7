// Package bolt keeps what package store describes in one file, durably: the
// default of a single node, which needs no other server.
//
// The file is bbolt's. What a method has acknowledged was synced to disk
// before, so that it survives the process and the machine. Calls that come at
// the same time share their syncs.
//
// The pages of what is gone are used again, so that the size of an open file is
// that of the most it ever held. [Open] makes a file anew that is longer than
// 64 MiB and three quarters empty (not on Windows, where "bbolt compact" does
// it): it needs room for the new one beside the old, and does without
// compaction when there is none.
//
// Tickets are kept under the hash of their text; of logins the file has the
// names of their tokens, not the tokens. Nobody can authenticate with what it
// holds, but who can write to it can undo revocations: it is its owner's alone.
//
// Cursors stay good when the file is opened again. A file that is restored
// from a copy goes on as the same log: do that only while nothing that holds
// cursors is running, which the lock on the file sees to.
package bolt

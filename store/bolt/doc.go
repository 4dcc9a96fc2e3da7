// Package bolt keeps what package store describes in one file, durably: the
// default of a single node, which needs no other server.
//
// The file is bbolt's. What a method has acknowledged was synced to disk
// before, so that it survives the process and the machine. Calls that come at
// the same time share their syncs.
//
// The pages of what is gone are used again, so that the size of an open file is
// that of the most it ever held. [Open] makes a file anew that is longer than
// 64 MiB and three quarters empty (not on Windows): it needs room for the new
// one beside the old, and does without compaction when there is none.
//
// Disks and file systems lose writes and flip bits. Each record ends with a
// checksum, and each commit writes how many records there are and the XOR of
// their checksums, so that records that are missing or older than the others
// are noticed. [Open] verifies all of that before it uses a file, and refuses
// a damaged one with a [DamageError]: a store that has lost records may have
// lost revocations. [Check] does the same and no more. Damage that comes upon
// an open file makes the store fail from the moment it is found: at once for a
// page or a record that cannot be right, when it is opened again for an older
// state of one.
//
// No damage ends the process, as bbolt would on its own where pages lead in a
// circle: each page is checked within the transaction that follows it, just
// before bbolt reads it, and all of them when a commit has failed. What is
// left is a page that is overwritten between that check and bbolt's reading:
// microseconds later, or milliseconds in a large batch of writes, and at the
// start between the check of the whole file and bbolt's own look at it.
//
// A file of the format without checksums gets them when it is opened, or as
// soon as there is room for them; earlier versions do not open it any more.
//
// Tickets are kept under the hash of their text; of logins the file has the
// names of their tokens, not the tokens. Nobody can authenticate with what it
// holds, but who can write to it can undo revocations: it is its owner's alone.
//
// Cursors stay good when the file is opened again. A file that is restored
// from a copy goes on as the same log: do that only while nothing that holds
// cursors is running, which the lock on the file sees to.
package bolt

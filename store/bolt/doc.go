// Package bolt implements package store durably in one file. It is the default
// for a single node and needs no other server.
//
// One process at a time has the file open. So a Store implements [store.Store],
// and not [store.Cluster]: there are no other nodes that could share it.
//
// The file is a bbolt database. Each method syncs its changes to disk before
// it returns, so they survive a crash of the process or the machine.
// Concurrent calls share their syncs.
//
// The pages of deleted records are reused, so an open file never shrinks.
// [Open] compacts a file of more than 64 MiB that is three quarters empty,
// except on Windows. This needs disk space for both the old and the new file.
// If there is too little, the file is not compacted.
//
// Disks and file systems lose writes and flip bits. Each record therefore ends
// with a checksum, and each commit writes the number of records and the XOR of
// their checksums, so that missing and outdated records are detected. [Open]
// verifies all of this before it uses a file, and refuses a damaged one with a
// [DamageError]: a store that has lost records may have lost revocations.
// [Check] only verifies. If a file is damaged while it is open, all methods
// fail once the damage is found. An invalid page or record is found when it is
// read, an outdated one when the file is opened again.
//
// Damage does not crash the process. bbolt on its own would overflow its stack
// if pages formed a cycle. Therefore each page is checked just before bbolt
// reads it in a transaction, and all pages are checked after a failed commit.
// The remaining risk is a page that is overwritten between the check and
// bbolt's read. That time is microseconds, or milliseconds in a large batch of
// writes. On opening, it is the time between the verification and bbolt's own
// scan.
//
// A file in an old format is upgraded when it is opened, or as soon as there is
// enough disk space. Earlier versions refuse it afterwards with [ErrFormat].
// The oldest format has no checksums.
//
// The file contains hashes of tickets and IDs of refresh tokens, but no tickets
// or tokens, so its contents cannot be used to authenticate. But a process that
// can write to the file can undo revocations. Therefore only the owner of the
// file may have access.
//
// Cursors remain valid when the file is reopened. A file that is restored from
// a copy continues as the same log. Restore it only while no process that holds
// cursors is running. The lock on the file ensures this.
package bolt

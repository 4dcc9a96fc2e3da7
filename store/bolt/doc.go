// Package bolt implements package store durably in one file. It is the default
// for a single node and needs no other server.
//
// The file is a bbolt database. Each method syncs its changes to disk before
// it returns, so they survive a crash of the process or the machine.
// Concurrent calls share their syncs.
//
// The pages of deleted records are reused, so an open file never shrinks.
// [Open] compacts a file of more than 64 MiB that is three quarters empty (not
// on Windows). This needs space for the new file beside the old one; without
// it, the file is not compacted.
//
// Disks and file systems lose writes and flip bits. Each record therefore ends
// with a checksum, and each commit writes the number of records and the XOR of
// their checksums, so that missing and outdated records are detected. [Open]
// verifies all of this before it uses a file, and refuses a damaged one with a
// [DamageError]: a store that has lost records may have lost revocations.
// [Check] only verifies. If a file is damaged while it is open, all methods
// fail from the moment the damage is found. That is immediate for an invalid
// page or record, and on the next opening for an outdated one.
//
// Damage does not crash the process. bbolt on its own would overflow its stack
// if pages formed a cycle; therefore each page is checked just before bbolt
// reads it in a transaction, and all pages are checked after a failed commit.
// The remaining risk is a page that is overwritten between the check and
// bbolt's read. That is microseconds, milliseconds in a large batch of writes,
// and on opening the time between the verification and bbolt's own scan.
//
// A file in the format without checksums is upgraded when it is opened, or as
// soon as there is disk space. Earlier versions cannot open it afterwards.
//
// Tickets are stored under the hash of their text, and for sessions only the
// IDs of tokens are stored, so nobody can authenticate with the contents of
// the file. But a process that can write to it can undo revocations. Only its
// owner may have access.
//
// Cursors remain valid when the file is reopened. A file that is restored from
// a copy continues as the same log; restore only while nothing that holds
// cursors is running. The lock on the file ensures this.
package bolt

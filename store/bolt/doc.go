// Package bolt keeps what package store describes in one file, durably: the
// default of a single node, which needs no other server.
//
// The file is bbolt's. What a method has acknowledged was synced to disk
// before, so that it survives the process and the machine. Calls that come at
// the same time share their syncs.
//
// A file never shrinks. The pages of what is gone are used again, so that its
// size is that of the most it ever held. It is not rewritten while it is open,
// because the lock on it is of the old file and would not keep another process
// from the new one; "bbolt compact" does it while no process has it open.
//
// Cursors stay good when the file is opened again. A file that is restored
// from a copy goes on as the same log: do that only while nothing that holds
// cursors is running, which the lock on the file sees to.
package bolt

// Package store defines what wsauth stores besides the tokens themselves, and
// implements it in memory.
//
// A signed token stays valid until it expires. To end it earlier, a
// [Revocation] is added to a durable log of [Revocations], which every node
// follows. A node keeps the whole log in an [Index], so that checking a token
// needs no I/O.
//
// [Tickets] are values that can be taken exactly once. [Sessions] records
// which refresh token of a login session is valid, and detects the use of an
// old one.
//
// A [Store] combines all three. [Memory] is a store for a single process,
// which loses everything when the process ends. Package store/bolt keeps it in
// a file. Package storetest tests whether an implementation satisfies the
// contracts; use it for your own stores, too.
package store

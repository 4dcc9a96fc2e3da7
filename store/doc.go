// Package store defines what wsauth stores besides the tokens themselves: the
// types, the contracts of stores, and the canonical forms of records.
//
// A signed token stays valid until it expires. To end it earlier, a
// [Revocation] is added to a durable log of [Revocations], which every node
// follows and keeps in memory, so that checking a token needs no I/O.
//
// [Tickets] are values that can be taken exactly once. [Sessions] records
// which refresh token of a login session is valid, and detects the use of an
// old one.
//
// A [Store] combines all three. Package store/memory is a store for a single
// process, which loses everything when the process ends. Package store/bolt
// keeps it in a file. For your own, see package store/storekit for what
// engines have in common, and package store/storetest for the tests that each
// must pass.
package store

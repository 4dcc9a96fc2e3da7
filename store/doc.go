// Package store defines what wsauth stores besides the tokens themselves: the
// types, the contracts of stores, and the canonical forms of records.
//
// A signed token stays valid until it expires. To end it earlier, add a
// [Revocation] to a durable log of [Revocations]. Every node follows the log
// and keeps it in memory, so that checking a token needs no I/O.
//
// [Tickets] stores values that can be taken exactly once. [Sessions] records
// which refresh token of a login session is valid, and detects the use of an
// old one.
//
// A [Store] combines all three. Package store/memory is a store for a single
// process; it loses everything when the process ends. Package store/bolt keeps
// everything in a file. Package store/redis is a [Cluster] in Redis or Valkey,
// and package store/postgres is one in PostgreSQL. To write your own store, use
// package store/storekit for the parts that stores have in common, and package
// store/storetest for the tests that each store must pass.
package store

// Package store says what wsauth keeps beside the tokens themselves, and
// keeps it in memory.
//
// A token that was signed stays signed. What ends it early is a [Revocation],
// kept in a durable log of [Revocations] that every node follows. A node holds
// the whole log in an [Index], so that a check needs neither disk nor network.
//
// [Memory] is the log of a single process that forgets when it ends; package
// store/bolt keeps it in a file. Package storetest is the suite that each of
// them passes, for stores of your own too.
package store

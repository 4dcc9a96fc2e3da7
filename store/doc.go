// Package store says what wsauth keeps beside the tokens themselves, and
// keeps it in memory.
//
// A token that was signed stays signed. What ends it early is a [Revocation],
// kept in a durable log of [Revocations] that every node follows. A node holds
// the whole log in an [Index], so that a check needs neither disk nor network.
//
// [Tickets] are values that can be taken once, however many ask for them.
// [Families] are logins: which refresh token of each is good, and what becomes
// of a login whose old one is used again.
//
// A [Store] is all three. [Memory] is that of a single process, which forgets
// when it ends; package store/bolt keeps it in a file. Package storetest is the
// suite that each of them passes, for stores of your own too.
package store

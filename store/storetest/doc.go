// Package storetest is the suites that every store of wsauth passes, for stores
// of your own too: [Revocations], [Tickets] and [Families].
package storetest

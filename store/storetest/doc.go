// Package storetest contains the test suites for implementations of the
// contracts in package store: [Revocations], [Tickets] and [Sessions].
package storetest

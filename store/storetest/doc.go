// Package storetest contains the test suites for implementations of the
// contracts in package store. [Store] and [Cluster] run all suites that a store
// must pass; [Revocations], [Sessions] and the others test one part of it.
package storetest

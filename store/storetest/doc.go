// Package storetest is the suite that every store of wsauth passes, for stores
// of your own too. See [Revocations].
package storetest

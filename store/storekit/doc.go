// Package storekit helps to implement the interfaces of package store.
//
// Before a log adds revocations, it calls [Prepare] and [Uncovered]. Before it
// adds events, it calls [PrepareEvents]. [AppendRevocation], [AppendSession]
// and [AppendEvent] encode items for a disk or a database, and their
// counterparts decode them strictly.
//
// The rules for rotations and presentations are in [store.Session.Rotate] and
// [store.Session.Present].
package storekit

import (
	"cmp"

	"wsauth/store"
)

// Defaults returns limits with the defaults of package store in place of values
// of 0 or less.
func Defaults(limits store.Limits) store.Limits {
	return store.Limits{
		Revocations: cmp.Or(max(limits.Revocations, 0), store.DefaultRevocationLimit),
		Tickets:     cmp.Or(max(limits.Tickets, 0), store.DefaultTicketLimit),
		Sessions:    cmp.Or(max(limits.Sessions, 0), store.DefaultSessionLimit),
		Events:      cmp.Or(max(limits.Events, 0), store.DefaultEventLimit),
	}
}

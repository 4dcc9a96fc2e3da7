package bolt

import (
	"bytes"
	"testing"
	"time"

	"wsauth/store"
)

// FuzzTicketEncoding: what is read is written again as the same bytes, is no
// longer than a ticket may be, and shares no memory with what it was read from.
func FuzzTicketEncoding(f *testing.F) {
	for _, one := range []ticket{
		{time.UnixMilli(1_700_000_000_123), []byte("value")},
		{time.UnixMilli(0), nil},
		{time.UnixMilli(-1), make([]byte, store.MaxTicketValue)},
	} {
		data := one.encode()
		back, err := decodeTicket(data)
		if err != nil || !back.expires.Equal(one.expires) || !bytes.Equal(back.value, one.value) {
			f.Fatalf("%v is read as %v, %v", one, back, err)
		}
		f.Add(data)
		f.Add(data[:7])
	}
	f.Add(make([]byte, 8+store.MaxTicketValue+1))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		read, err := decodeTicket(data)
		if err != nil {
			if len(data) >= 8 && len(data) <= 8+store.MaxTicketValue {
				t.Errorf("%x: %v", data, err)
			}
			return
		}
		if len(read.value) > store.MaxTicketValue {
			t.Errorf("a value of %d bytes", len(read.value))
		}
		for i := range data {
			data[i]++
		}
		if again := read.encode(); !bytes.Equal(again, before) {
			t.Errorf("%x: written again as %x", before, again)
		}
	})
}

// FuzzSubjectKey: the families of a subject, and no other's, have keys with its
// prefix, and they sort by when they began.
func FuzzSubjectKey(f *testing.F) {
	f.Add("ann", "ann\x00", "a", int64(1), int64(2))
	f.Add("", "a", "b", int64(255), int64(256))
	f.Add("\x00\x03ann", "ann", "", int64(1<<40), int64(1))
	f.Fuzz(func(t *testing.T, subject, other, id string, one, two int64) {
		if one < 0 || two < 0 || one > 1<<50 || two > 1<<50 || len(subject) > 256 || len(other) > 256 {
			return
		}
		a := subjectKey(store.Family{Subject: subject, ID: id, Began: time.UnixMilli(one)})
		b := subjectKey(store.Family{Subject: subject, ID: id, Began: time.UnixMilli(two)})
		if !bytes.HasPrefix(a, subjectPrefix(subject)) {
			t.Errorf("%x has not the prefix %x", a, subjectPrefix(subject))
		}
		if other != subject && bytes.HasPrefix(a, subjectPrefix(other)) {
			t.Errorf("%x has the prefix of %q", a, other)
		}
		if one < two && bytes.Compare(a, b) >= 0 {
			t.Errorf("%x does not sort before %x", a, b)
		}
		if got := string(a[len(subjectPrefix(subject))+8:]); got != id {
			t.Errorf("the ID %q is read as %q", id, got)
		}
	})
}

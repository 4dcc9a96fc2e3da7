package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"wsauth/store"
)

// FuzzTicketEncoding checks that encoding a decoded ticket yields the same
// bytes. The ticket must not be longer than allowed, and must share no memory
// with the input.
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

// FuzzSubjectKey checks that only keys of sessions of a subject have the prefix
// of the subject, and that the keys are sorted by the start of the sessions.
func FuzzSubjectKey(f *testing.F) {
	f.Add("ann", "ann\x00", "a", int64(1), int64(2))
	f.Add("", "a", "b", int64(255), int64(256))
	f.Add("\x00\x03ann", "ann", "", int64(1<<40), int64(1))
	f.Fuzz(func(t *testing.T, subject, other, id string, one, two int64) {
		if one < 0 || two < 0 || one > 1<<50 || two > 1<<50 || len(subject) > 256 || len(other) > 256 {
			return
		}
		a := subjectKey(store.Session{Subject: subject, ID: id, Started: time.UnixMilli(one)})
		b := subjectKey(store.Session{Subject: subject, ID: id, Started: time.UnixMilli(two)})
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

// FuzzVerify checks that verifying a file in which bytes after the first pages
// are changed does not panic, and finds the original contents or an error.
func FuzzVerify(f *testing.F) {
	path := newPath(f)
	s, err := Open(path, store.Limits{})
	if err != nil {
		f.Fatal(err)
	}
	var all []store.Revocation
	for n := range 200 { // enough for a tree with branches
		all = append(all, inAMinute(fmt.Sprint("revocation-", n)))
	}
	if err := errors.Join(s.Revoke(f.Context(), all...), s.Close()); err != nil {
		f.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	m, err := readMetas(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		f.Fatal(err)
	}
	want, err := verifyContents(bytes.NewReader(file), m)
	if err != nil {
		f.Fatal(err)
	}
	inUse := int(m.high) * testPage
	for page := 2; page < int(m.high); page++ {
		f.Add(uint32(page*testPage), []byte{1})
		f.Add(uint32(page*testPage+8), []byte{1, 0, 255, 255, 1})
		f.Add(uint32(page*testPage+16), bytes.Repeat([]byte{255}, 16))
		f.Add(uint32(page*testPage+24), []byte{byte(page)})
	}
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		changed := bytes.Clone(file)
		copy(changed[2*testPage+int(at)%(inUse-2*testPage):], change)
		got, err := verifyContents(bytes.NewReader(changed), m)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
		if err == nil && got != want {
			t.Fatalf("%+v, was %+v", got, want)
		}
	})
}

// FuzzChecksum checks that a record is read as it was written, and that its
// checksum is valid only for its bucket, key and value.
func FuzzChecksum(f *testing.F) {
	f.Add([]byte("bucket"), []byte("key"), []byte("value"), []byte("other"))
	f.Add([]byte("buck"), []byte("etkey"), []byte{}, []byte{})
	f.Add([]byte{}, []byte{}, make([]byte, 600), make([]byte, 7))
	f.Add(metaBucket, sealKey, make([]byte, 32), seal{1, sum{2, 3}, 4}.encode())
	f.Fuzz(func(t *testing.T, bucket, key, value, other []byte) {
		if len(bucket) > 254 {
			return
		}
		check := checksum(bucket, key, value)
		stored := binary.BigEndian.AppendUint64(bytes.Clone(value), check)
		got, gotCheck, ok := unsealed(bucket, key, stored)
		if !ok || gotCheck != check || !bytes.Equal(got, value) {
			t.Fatalf("%x is read as %x, %v", value, got, ok)
		}
		for _, wrong := range []struct{ bucket, key, stored []byte }{
			{append(bytes.Clone(bucket), 'x'), key, stored},
			{bucket, append(bytes.Clone(key), 'x'), stored},
			{bucket, key, append(bytes.Clone(stored), 'x')},
			{bucket, key, stored[:len(stored)-1]},
		} {
			if _, _, ok := unsealed(wrong.bucket, wrong.key, wrong.stored); ok {
				t.Fatalf("also read as %x %x %x", wrong.bucket, wrong.key, wrong.stored)
			}
		}
		if len(key) > 0 && len(bucket) > 0 { // the same bytes, divided differently
			moved := append(bytes.Clone(bucket[len(bucket)-1:]), key...)
			if _, _, ok := unsealed(bucket[:len(bucket)-1], moved, stored); ok {
				t.Fatal("a key of another bucket has the same checksum")
			}
		}
		if s, ok := decodeSeal(other); ok && !bytes.Equal(s.encode(), other) {
			t.Fatalf("%x is read as %+v", other, s)
		}
	})
}

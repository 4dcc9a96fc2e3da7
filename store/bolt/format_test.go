package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// edit changes a file with bbolt alone.
func edit(t testing.TB, path string, do func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(do), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// strip converts a file to the format without checksums.
func strip(tx *bbolt.Tx) error {
	for _, name := range buckets {
		b := tx.Bucket(name)
		plain := map[string][]byte{}
		err := b.ForEach(func(key, stored []byte) error {
			plain[string(key)] = bytes.Clone(stored[:len(stored)-checksumSize])
			return nil
		})
		for key, value := range plain {
			err = errors.Join(err, b.Put([]byte(key), value))
		}
		if err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(meta.Delete(sealKey), meta.Put(formatKey, []byte(formats[1])))
}

// unname converts a file to format 2.
func unname(tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	sealed, _ := decodeSeal(meta.Get(sealKey))
	sealed.sum.remove(checksum(metaBucket, formatKey, []byte(currentFormat)))
	check := checksum(metaBucket, formatKey, []byte(formats[2]))
	sealed.sum.add(check)
	return errors.Join(meta.Put(formatKey, binary.BigEndian.AppendUint64([]byte(formats[2]), check)), writeSeal(tx, sealed.sum))
}

// sealAgain writes a new seal for the contents of a file, so that all changes
// are valid.
func sealAgain(tx *bbolt.Tx) error {
	sealed, _ := decodeSeal(tx.Bucket(metaBucket).Get(sealKey))
	return writeSeal(tx, sealed.sum)
}

// TestUpgrade checks that a file in an old format opens with all its contents,
// is upgraded in one step, and continues as the same log.
func TestUpgrade(t *testing.T) {
	for format, downgrade := range map[int]func(*bbolt.Tx) error{1: strip, 2: unname} {
		t.Run(fmt.Sprint(format), func(t *testing.T) { testUpgrade(t, format, downgrade) })
	}
}

func testUpgrade(t *testing.T, format int, downgrade func(*bbolt.Tx) error) {
	h := live(t)
	path := newPath(t)
	if err := os.WriteFile(path, h.now(), 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := Check(path)
	if err != nil || want.Format != 3 {
		t.Fatalf("%+v, %v", want, err)
	}
	edit(t, path, downgrade)
	old, err := Check(path)
	if err != nil || old.Format != format || old.Next != want.Next || old.Revocations != want.Revocations || old.Sessions != want.Sessions || old.Tickets != want.Tickets {
		t.Fatalf("%+v, %v; it was %+v", old, err, want)
	}
	for range 2 {
		s := open(t, path, store.Limits{})
		entries(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := Check(path); err != nil || got.Format != 3 || got.Next != want.Next || got.Revocations != want.Revocations || got.Sessions != want.Sessions {
			t.Errorf("%+v, %v; it was %+v", got, err, want)
		}
	}
	if lost := h.forgotten(t.Context(), open(t, path, store.Limits{})); len(lost) > 0 {
		t.Errorf("%d lost, such as %s", len(lost), lost[0])
	}
}

// TestContentsChanged checks that a file is refused if records are missing or
// in an older state, even if it is valid for bbolt and whatever format it has
// or claims to have.
func TestContentsChanged(t *testing.T) {
	delFirst := func(name []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			key, _ := tx.Bucket(name).Cursor().First()
			return tx.Bucket(name).Delete(key)
		}
	}
	setFormat := func(text string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte(text)) }
	}
	set := func(name, key, value []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket(name).Put(key, value) }
	}
	sealed := func(name, key, value []byte) []byte {
		return binary.BigEndian.AppendUint64(bytes.Clone(value), checksum(name, key, value))
	}
	// older resets a session to an older rotation, as an outdated page would.
	older := func(tx *bbolt.Tx) error {
		b := tx.Bucket(sessionsBucket)
		key, stored := b.Cursor().First()
		value := bytes.Clone(stored[:len(stored)-checksumSize])
		value[15]-- // Rotated
		return b.Put(bytes.Clone(key), sealed(sessionsBucket, key, value))
	}
	exchange := func(name []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			c := tx.Bucket(name).Cursor()
			a, x := c.First()
			b, y := c.Next()
			a, b, x, y = bytes.Clone(a), bytes.Clone(b), bytes.Clone(x), bytes.Clone(y)
			return errors.Join(tx.Bucket(name).Put(a, y), tx.Bucket(name).Put(b, x))
		}
	}
	// shorter removes the last entry of the log.
	shorter := func(tx *bbolt.Tx) error {
		key, _ := tx.Bucket(logBucket).Cursor().Last()
		return errors.Join(tx.Bucket(logBucket).Delete(key), tx.Bucket(logBucket).SetSequence(tx.Bucket(logBucket).Sequence()-1))
	}
	// rewind resets the sequence number of the log, which only the seal reveals.
	rewind := func(tx *bbolt.Tx) error {
		sealed, _ := decodeSeal(tx.Bucket(metaBucket).Get(sealKey))
		sealed.tx = uint64(tx.ID())
		return errors.Join(tx.Bucket(logBucket).SetSequence(1), tx.Bucket(metaBucket).Put(sealKey, sealed.encode()))
	}
	other := func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err }
	nested := func(tx *bbolt.Tx) error { _, err := tx.Bucket(logBucket).CreateBucket([]byte("other")); return err }
	drop := func(name []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.DeleteBucket(name) }
	}
	nothing := func(*bbolt.Tx) error { return nil }
	type step = func(*bbolt.Tx) error
	for name, tt := range map[string]struct {
		steps []step
		want  error
	}{
		"as it was":                   {[]step{nothing, sealAgain}, nil},
		"old, as it was":              {[]step{strip}, nil},
		"format 2, as it was":         {[]step{unname}, nil},
		"format 2, a revocation lost": {[]step{unname, delFirst(logBucket), sealAgain}, ErrDamaged},
		"a commit without a seal":     {[]step{nothing}, ErrDamaged},
		"a revocation lost":           {[]step{delFirst(logBucket), sealAgain}, ErrDamaged},
		"a name lost":                 {[]step{delFirst(namesBucket), sealAgain}, ErrDamaged},
		"an expiry lost":              {[]step{delFirst(expiryBucket), sealAgain}, ErrDamaged},
		"a session lost":              {[]step{delFirst(sessionsBucket), sealAgain}, ErrDamaged},
		"a fact lost":                 {[]step{delFirst(metaBucket), sealAgain}, ErrDamaged},
		"a session of an older state": {[]step{older, sealAgain}, ErrDamaged},
		"revocations exchanged":       {[]step{exchange(logBucket), sealAgain}, ErrDamaged},
		"the last revocation lost":    {[]step{shorter, sealAgain}, ErrDamaged},
		"a log started anew":          {[]step{rewind}, ErrDamaged},
		"a record more":               {[]step{set(logBucket, []byte("key"), sealed(logBucket, []byte("key"), nil)), sealAgain}, ErrDamaged},
		"another bucket":              {[]step{other, sealAgain}, ErrDamaged},
		"a bucket in a bucket":        {[]step{nested, sealAgain}, ErrDamaged},
		"a bucket less":               {[]step{drop(ticketsBucket), sealAgain}, ErrDamaged},
		"no seal":                     {[]step{func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(sealKey) }}, ErrDamaged},
		"taken for an old one":        {[]step{setFormat(formats[1]), sealAgain}, ErrDamaged},
		"old without the seal":        {[]step{setFormat(formats[1]), func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(sealKey) }}, ErrDamaged},
		"no format":                   {[]step{setFormat(""), sealAgain}, ErrDamaged},
		"a later format":              {[]step{setFormat(string(sealed(metaBucket, formatKey, []byte("wsauth store 4")))), sealAgain}, ErrFormat},
		"old, a revocation lost":      {[]step{strip, delFirst(logBucket)}, ErrDamaged},
		"old, a name lost":            {[]step{strip, delFirst(namesBucket)}, ErrDamaged},
		"old, an expiry lost":         {[]step{strip, delFirst(expiryBucket)}, ErrDamaged},
		"old, a session lost":         {[]step{strip, delFirst(sessionsBucket)}, ErrDamaged},
		"old, a subject lost":         {[]step{strip, delFirst(sessionSubjectBucket)}, ErrDamaged},
		"old, a ticket lost":          {[]step{strip, delFirst(ticketsBucket)}, ErrDamaged},
		"old, no count":               {[]step{strip, func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(countKey) }}, ErrDamaged},
		"old, a short count":          {[]step{strip, set(metaBucket, countKey, []byte{1})}, ErrDamaged},
		"old, another count":          {[]step{strip, set(metaBucket, sessionCountKey, number(7))}, ErrDamaged},
		"old, a torn revocation":      {[]step{strip, set(logBucket, number(1), []byte{1, 2})}, ErrDamaged},
		"old, a torn ticket":          {[]step{strip, set(ticketsBucket, []byte("key"), []byte{1, 2})}, ErrDamaged},
		"old, a torn session":         {[]step{strip, set(sessionsBucket, []byte("key"), []byte{1, 2})}, ErrDamaged},
		"old, revocations exchanged":  {[]step{strip, exchange(logBucket)}, ErrDamaged},
		"old with a seal":             {[]step{strip, func(tx *bbolt.Tx) error { return writeSeal(tx, sum{}) }}, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path, store.Limits{})
			fill(t, s)
			if err := errors.Join(s.Revoke(t.Context(), inAMinute("b"), inAMinute("c")), s.Close()); err != nil {
				t.Fatal(err)
			}
			edit(t, path, func(tx *bbolt.Tx) (err error) {
				for _, step := range tt.steps {
					err = errors.Join(err, step(tx))
				}
				return err
			})
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if report, err := Check(path); !errors.Is(err, tt.want) {
				t.Errorf("Check: %+v, %v, want %v", report, err, tt.want)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("Check has changed it: %v", err)
			}
			s, err = Open(path, store.Limits{})
			if !errors.Is(err, tt.want) {
				t.Errorf("Open: %v, want %v", err, tt.want)
			}
			if err == nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestNoStore checks that a file that is not a store is refused with a one-line
// error and left unchanged. This includes an empty file, because even a new
// store is not empty.
func TestNoStore(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"empty":       {"", "it is empty"},
		"text":        {"This is not a store.", "it ends before page 0"},
		"long text":   {strings.Repeat("This is not a store. ", 1000), "page 0 does not begin a store"},
		"long zeros":  {strings.Repeat("\x00", 1<<16), "page 0 does not begin a store"},
		"one byte":    {"x", "it ends before page 0"},
		"odd lengths": {strings.Repeat("x", 4097), "page 0 does not begin a store"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, checked := Check(path)
			_, opened := Open(path, store.Limits{})
			for _, err := range []error{checked, opened} {
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v", err)
				}
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != tt.text {
				t.Errorf("%q is left, %v", left, err)
			}
		})
	}
	t.Run("an empty database", func(t *testing.T) {
		path := newPath(t)
		edit(t, path, func(*bbolt.Tx) error { return nil })
		if s, err := Open(path, store.Limits{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v, %v", s, err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		if _, err := Check(newPath(t)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
}

// TestHeadsOfPages checks that if a bit in the header or the first element of a
// page is flipped, the file is refused or bbolt reads the same contents.
func TestHeadsOfPages(t *testing.T) {
	path := newPath(t)
	s := open(t, path, store.Limits{})
	fill(t, s)
	var all []store.Revocation
	for n := range 300 { // enough for a tree with branches
		all = append(all, inAMinute(fmt.Sprint("revocation-", n)))
	}
	if err := errors.Join(s.Revoke(t.Context(), all...), s.Close()); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMetas(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	refused, opened := 0, 0
	for page := 2; page < int(m.high); page++ {
		for at := range pageHead + elementSize {
			changed := bytes.Clone(image)
			changed[page*testPage+at] ^= 1 << (at % 8)
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Check(path); err != nil {
				sentence(t, "head", page, err)
				refused++
				continue
			}
			opened++
			db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			err = db.View(func(tx *bbolt.Tx) error {
				for err := range tx.Check() {
					t.Errorf("page %d, byte %d: %v", page, at, err)
				}
				return nil
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d refused, %d good", refused, opened)
	if refused == 0 {
		t.Error("no file was refused")
	}
	if err := os.WriteFile(path, image[:m.high*m.pageSize-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "it is cut off") {
		t.Errorf("a byte less: %v", err)
	}
}

// TestNewFile checks that a file is created in one step, without leaving
// temporary files, and is valid from the start.
func TestNewFile(t *testing.T) {
	path := newPath(t)
	s := open(t, path, store.Limits{})
	if report, err := Check(path); !errors.Is(err, ErrLocked) {
		t.Errorf("open: %+v, %v", report, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(strings.TrimSuffix(path, "wsauth.db"))
	if err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if report, err := Check(path); err != nil || report.Format != 3 || report.Next.Epoch == "" || report.Revocations+report.Sessions+report.Tickets != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := createFile(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("created again: %v", err)
	}
}

package bolt

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"wsauth/store"
	"wsauth/store/storekit"
)

// A Report describes the contents of a file.
type Report struct {
	Format      int          // 3, or one that Open upgrades: 1 (no checksums) or 2
	Size        int64        // in bytes
	Records     int          // total, including index entries
	Revocations int          // entries of the log, including expired ones
	Sessions    int          // including expired ones
	Tickets     int          // including expired ones
	Next        store.Cursor // position after the last revocation
}

// Check verifies a file and reports its contents. It does not change the file.
// It returns [ErrLocked] if a Store has the file open, [ErrFormat] or a
// [DamageError]. While it runs, an [Open] of the file waits for it, for at most
// a second.
func Check(path string) (Report, error) {
	v, err := verifyPath(path)
	return v.report, err
}

// verified is the result of verifying a file.
type verified struct {
	report Report
	tx     uint64 // the last commit
	info   os.FileInfo
}

// verifyPath verifies a file. It locks the file against writes.
func verifyPath(path string) (v verified, err error) {
	db, err := lock(path, lockShared)
	if err != nil {
		return verified{}, err
	}
	v, err = verify(path, db.file)
	if closing := db.close(); err == nil {
		err = closing
	}
	return v, err
}

// verify reads and verifies the whole file. It does not use bbolt, which
// trusts what it reads.
func verify(path string, file *os.File) (v verified, err error) {
	err = guarded(path, func() error {
		if v.info, err = file.Stat(); err != nil {
			return err
		}
		m, err := readMetas(file, v.info.Size())
		if err != nil {
			return err
		}
		v.tx = m.tx
		v.report, err = verifyContents(file, m)
		v.report.Size = v.info.Size()
		return err
	})
	return v, err
}

func verifyContents(file io.ReaderAt, m meta) (Report, error) {
	pages := newPageReader(file, m)
	headers := map[string][]byte{}
	err := pages.walk(m.root, func(e element) error {
		if !e.bucket || len(e.value) < bucketHead {
			return damaged("a record lies outside of the buckets")
		}
		headers[string(e.key)] = slices.Clone(e.value)
		return nil
	})
	if err != nil {
		return Report{}, err
	}
	known := 0
	for _, name := range buckets {
		if headers[string(name)] != nil {
			known++
		}
	}
	switch {
	case known == 0 && len(headers) > 0:
		return Report{}, ErrFormat
	case known != len(buckets) || known != len(headers):
		return Report{}, damaged("it has %d of %d buckets", known, len(buckets))
	}
	facts := map[string][]byte{}
	err = pages.walkBucket(headers[string(metaBucket)], func(e element) error {
		facts[string(e.key)] = slices.Clone(e.value)
		return nil
	})
	if err != nil {
		return Report{}, err
	}
	c := inspection{pages: pages, headers: headers, facts: facts, last: native.Uint64(headers[string(logBucket)][8:])}
	report, err := c.verify(m)
	if err != nil {
		return Report{}, err
	}
	return report, pages.checkFreelist()
}

// An inspection verifies the records of a file. The bucket meta must be read
// before it is created.
type inspection struct {
	pages   *pageReader
	headers map[string][]byte
	facts   map[string][]byte // the records of the bucket meta
	last    uint64            // sequence number of the log
	report  Report
}

// verify verifies the records according to the format of the file.
func (c *inspection) verify(m meta) (Report, error) {
	stored := c.facts[string(formatKey)]
	if string(stored) == formats[1] {
		return c.verifyOld()
	}
	value, _, ok := unsealed(metaBucket, formatKey, stored)
	if !ok {
		return Report{}, damaged("its format is not known")
	}
	format := slices.Index(formats, string(value))
	if format < 2 {
		return Report{}, fmt.Errorf("%w: %q, perhaps of a newer one", ErrFormat, value)
	}
	sealed, ok := decodeSeal(c.facts[string(sealKey)])
	switch {
	case !ok:
		return Report{}, damaged("its seal is damaged")
	// sealed.tx is greater if the file was copied or compacted, or if the disk
	// has lost the write of a meta page; see mirror.
	case sealed.tx < m.tx:
		return Report{}, damaged("commit %d is lost, and commit %d is in its place", m.tx, sealed.tx)
	case sealed.last != c.last:
		return Report{}, damaged("the log ends at %d, not at %d", c.last, sealed.last)
	}
	found, err := c.sum()
	if err != nil {
		return Report{}, err
	}
	if found.count != sealed.sum.count {
		return Report{}, damaged("it has %d records, not %d", found.count, sealed.sum.count)
	}
	if found != sealed.sum {
		return Report{}, damaged("some records are older than others")
	}
	epoch, _, _ := unsealed(metaBucket, epochKey, c.facts[string(epochKey)])
	return c.finish(format, string(epoch), int(found.count)), nil
}

func (c *inspection) finish(format int, epoch string, records int) Report {
	c.report.Format, c.report.Records = format, records
	c.report.Next = store.Cursor{Epoch: epoch, Sequence: c.last}
	return c.report
}

// sum verifies the checksums of all records and returns their sum.
func (c *inspection) sum() (s sum, err error) {
	for _, name := range buckets {
		n := 0
		look := func(key, stored []byte) error {
			_, check, ok := unsealed(name, key, stored)
			if !ok {
				return damaged("a record of %s has a wrong checksum", name)
			}
			s.add(check)
			n++
			return nil
		}
		if err := c.each(name, look); err != nil {
			return sum{}, err
		}
		c.count(name, n)
	}
	return s, nil
}

// count records the number of records in a bucket.
func (c *inspection) count(name []byte, n int) {
	switch string(name) {
	case string(logBucket):
		c.report.Revocations = n
	case string(sessionsBucket):
		c.report.Sessions = n
	case string(ticketsBucket):
		c.report.Tickets = n
	}
}

// each calls do for each record of a bucket except the seal.
func (c *inspection) each(name []byte, do func(key, stored []byte) error) error {
	if string(name) == string(metaBucket) {
		for key, stored := range c.facts {
			if key == string(sealKey) {
				continue
			}
			if err := do([]byte(key), stored); err != nil {
				return err
			}
		}
		return nil
	}
	return c.pages.walkBucket(c.headers[string(name)], func(e element) error {
		if e.bucket {
			return damaged("%s has a bucket in it", name)
		}
		return do(e.key, e.value)
	})
}

// verifyOld verifies the records of a file without checksums: each must be
// readable and have its index entries, and there must be no other index
// entries. So a file with checksums whose format record is damaged is not
// accepted as an old one.
func (c *inspection) verifyOld() (Report, error) {
	records := 0
	indexes := oldIndexes{}
	for _, name := range buckets {
		indexes[string(name)] = &sum{}
	}
	for _, name := range buckets {
		n := 0
		err := c.each(name, func(key, value []byte) error {
			n++
			return indexes.add(name, key, value)
		})
		if err != nil {
			return Report{}, err
		}
		c.count(name, n)
		records += n
	}
	for name, left := range indexes {
		if *left != (sum{}) {
			return Report{}, damaged("%s does not fit the records", name)
		}
	}
	for key, n := range map[string]int{string(countKey): c.report.Revocations, string(sessionCountKey): c.report.Sessions, string(ticketCountKey): c.report.Tickets} {
		if stored := c.facts[key]; n > 0 && stored == nil || stored != nil && binary.BigEndian.Uint64(stored) != uint64(n) {
			return Report{}, damaged("%s is not %d", key, n)
		}
	}
	if c.facts[string(sealKey)] != nil {
		return Report{}, damaged("its format is damaged")
	}
	return c.finish(1, string(c.facts[string(epochKey)]), records), nil
}

// oldIndexes holds, for each index of a file without checksums, the sum of its
// entries minus those that the records require.
type oldIndexes map[string]*sum

// add adds an index entry to its sum. For any other record, it checks the
// record and subtracts the index entries that it requires.
func (x oldIndexes) add(bucket, key, value []byte) error {
	expect := func(index, key, value []byte) { x[string(index)].remove(checksum(index, key, value)) }
	switch string(bucket) {
	case string(logBucket):
		r, err := decode(value)
		if err != nil || len(key) != 8 {
			return damaged("a revocation cannot be read")
		}
		expect(namesBucket, nameOf(r), key)
		expect(expiryBucket, expiryKey(r.Expires, key), nil)
	case string(sessionsBucket):
		s, err := storekit.DecodeSession(value)
		if err != nil || s.ID != string(key) {
			return damaged("a session cannot be read")
		}
		expect(sessionExpiryBucket, expiryKey(s.Expires, key), nil)
		expect(sessionSubjectBucket, subjectKey(s), nil)
	case string(ticketsBucket):
		ticket, err := decodeTicket(value)
		if err != nil {
			return damaged("a ticket cannot be read")
		}
		expect(ticketExpiryBucket, expiryKey(ticket.expires, key), nil)
	case string(metaBucket):
		number := strings.HasSuffix(string(key), ".count") || string(key) == string(trimmedKey) || string(key) == string(ticketClockKey)
		if number && len(value) != 8 {
			return damaged("%s is damaged", key)
		}
	default:
		x[string(bucket)].add(checksum(bucket, key, value))
	}
	return nil
}

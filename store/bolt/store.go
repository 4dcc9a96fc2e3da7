package bolt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
	"wsauth/store/storekit"
)

// ErrLocked means that another process or another Store has the file open.
var ErrLocked = errors.New("store/bolt: the file is in use")

// ErrFormat means that the file is a database of another program, or of another
// version of this one.
var ErrFormat = errors.New("store/bolt: not a store of this version")

// lockTimeout is how long Open waits for another process to close the file.
const lockTimeout = time.Second

// The formats of the file, by number. In format 1, values had no checksums. In
// format 2, sessions had neither a generation nor a parent, and no revocation
// had a generation; everything else is as in format 3.
var formats = []string{1: "wsauth store 1", 2: "wsauth store 2", 3: currentFormat}

// currentFormat is the format that this version writes.
const currentFormat = "wsauth store 3"

// The buckets, and the keys of the bucket meta. Integers are big-endian, 8
// bytes.
var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
	sealKey    = []byte("seal")              // see seal
	epochKey   = []byte("revocations.epoch") // text: identifies the log
	countKey   = []byte("revocations.count") // number of entries in the log
	// Sequence number of the last revocation of everything for which trim has
	// deleted all covered entries.
	trimmedKey = []byte("revocations.trimmed")

	// The key and the value of a record are separated by a colon. Times are
	// in milliseconds.
	logBucket    = []byte("revocations.log")    // sequence: revocation
	namesBucket  = []byte("revocations.names")  // target, ID: sequence
	expiryBucket = []byte("revocations.expiry") // Expires, sequence: nil

	ticketCountKey     = []byte("tickets.count")
	ticketClockKey     = []byte("tickets.clock")  // time of the last put
	ticketsBucket      = []byte("tickets")        // key: Expires, value
	ticketExpiryBucket = []byte("tickets.expiry") // Expires, key: nil

	sessionCountKey     = []byte("families.count")
	sessionsBucket      = []byte("families")        // ID: session
	sessionExpiryBucket = []byte("families.expiry") // Expires, ID: nil
	// Length of Subject in 2 bytes, Subject, Started, ID: nil.
	sessionSubjectBucket = []byte("families.subjects")
)

// buckets lists all buckets.
var buckets = [][]byte{
	metaBucket, logBucket, namesBucket, expiryBucket,
	ticketsBucket, ticketExpiryBucket,
	sessionsBucket, sessionExpiryBucket, sessionSubjectBucket,
}

// A Store is an open file. It is safe for concurrent use.
type Store struct {
	db     *database
	writer *writer
	epoch  string
	limits store.Limits
	clock  clock // of tickets
}

var (
	_ store.Store         = (*Store)(nil)
	_ store.Overfiller    = (*Store)(nil)
	_ store.UsageReporter = (*Store)(nil)
)

// Open opens a file. If it does not exist, Open creates it with mode 0600; the
// directory must exist. Open verifies the whole file; see [Check]. It returns
// [ErrLocked] if another process keeps the file open for more than a second,
// and a [DamageError] if the file is damaged or empty.
//
// Obsolete revocations count towards the limit until they are swept, once a
// minute or when the log is full.
//
// Open succeeds even if the disk is full. If a file in an old format cannot be
// upgraded, the upgrade is retried before each write and once a minute. Until
// it succeeds, the file can be read, writes fail, and [Store.RevocationUsage]
// reports ReadOnly.
//
// Open refuses symbolic links, and files that other users own or can access: a
// process that can write to the file can undo revocations. The error says how
// to fix this.
func Open(path string, limits store.Limits) (*Store, error) {
	return openWith(path, limits, newClock())
}

func openWith(path string, limits store.Limits, c clock) (*Store, error) {
	db, v, err := openFile(path)
	if err != nil {
		return nil, err
	}
	p, err := newPreparation(db, v.report.Format, c.now())
	if err := errors.Join(err, syncDirectory(path)); err != nil {
		return nil, errors.Join(wrap(err), db.close())
	}
	if !p.pending() {
		if db, err = compact(db); err != nil {
			return nil, err
		}
	}
	s := &Store{
		db:     db,
		writer: newWriter(db, p, c),
		epoch:  v.report.Next.Epoch,
		limits: storekit.Defaults(limits),
		clock:  c,
	}
	go s.writer.run()
	return s, nil
}

// Close waits for pending calls and closes the file. Later calls of other
// methods return [store.ErrClosed]. Close may be called again.
func (s *Store) Close() error {
	s.writer.close()
	return s.db.close()
}

// create creates the buckets of a new file.
func create(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	var all sum
	facts := &table{name: metaBucket, bucket: tx.Bucket(metaBucket), sum: &all}
	return errors.Join(
		facts.put(formatKey, []byte(currentFormat)),
		facts.put(epochKey, []byte(rand.Text())),
		writeSeal(tx, all),
	)
}

// syncDirectory makes the directory entry of a new file durable. Windows
// cannot do this, and does not need it.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	directory, err := os.Open(filepath.Dir(path)) //nolint:gosec // the path that our caller has chosen
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// number encodes an integer in the form used in the file.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Now implements [store.Clock].
func (s *Store) Now(ctx context.Context) (time.Time, error) { return time.Now(), ctx.Err() }

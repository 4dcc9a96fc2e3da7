package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// ErrLocked means that another process, or another Store, has the file open.
var ErrLocked = errors.New("store/bolt: the file is in use")

// ErrFormat means that the file is a database of something else, or of another version.
var ErrFormat = errors.New("store/bolt: not a store of this version")

// lockTimeout is how long Open waits for another process to let go of a file.
const lockTimeout = time.Second

// format is what the file says of its own layout: each value ends with a
// checksum, which format 1 had not.
const format = "wsauth store 2"

// The buckets, and the keys of meta. Integers are big-endian, 8 bytes.
var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
	sealKey    = []byte("seal")                // see seal
	epochKey   = []byte("revocations.epoch")   // text: which log this is
	countKey   = []byte("revocations.count")   // how many entries the log has
	trimmedKey = []byte("revocations.trimmed") // which revocation of everything has replaced what it covers: its sequence

	logBucket    = []byte("revocations.log")    // sequence: encoded revocation
	namesBucket  = []byte("revocations.names")  // scope and ID: sequence
	expiryBucket = []byte("revocations.expiry") // Expires in milliseconds and sequence: nothing

	ticketCountKey     = []byte("tickets.count")
	ticketClockKey     = []byte("tickets.clock")  // when the last one was put, in milliseconds
	ticketsBucket      = []byte("tickets")        // key: Expires in milliseconds and value
	ticketExpiryBucket = []byte("tickets.expiry") // Expires and key: nothing

	familyCountKey      = []byte("families.count")
	familiesBucket      = []byte("families")          // ID: encoded family
	familyExpiryBucket  = []byte("families.expiry")   // Expires and ID: nothing
	familySubjectBucket = []byte("families.subjects") // length of Subject in 2 bytes, Subject, Began and ID: nothing
)

// buckets are all of them.
var buckets = [][]byte{
	metaBucket, logBucket, namesBucket, expiryBucket,
	ticketsBucket, ticketExpiryBucket,
	familiesBucket, familyExpiryBucket, familySubjectBucket,
}

// Options vary a store. The zero value is good.
type Options struct {
	// Limits are how much the file holds at most. Revocations that are gone
	// count until they are swept, which is once a minute.
	Limits store.Limits
}

// Store is one open file. It is safe for concurrent use.
type Store struct {
	db     *database
	path   string
	epoch  string
	limits store.Limits
	clock  clock // of tickets

	writes chan *write   // to the writer
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the writer has ended
	once   sync.Once     // of Close

	mu   sync.Mutex
	more chan struct{} // closed when the log grows, then replaced

	preparation preparation // of the file, before the first write

	damage    atomic.Pointer[DamageError] // what is wrong with the file; nil: nothing known
	committed atomic.Uint64               // the last commit
	beginning sync.Mutex                  // held while a transaction begins
	stuck     atomic.Bool                 // bbolt has panicked with its locks held
}

var _ store.Store = (*Store)(nil)

// Open opens a file, or makes it with mode 0600 in a directory that exists. It
// fails with [ErrLocked] if another process has it open for a second yet, and
// with a [DamageError] if the file is damaged or empty. Opening verifies all
// of it; see [Check].
//
// A full disk does not keep it from opening. What has to be written first, the
// upgrade of an old file, is tried again before each write and once a minute.
// Until then the file is read as it is, writes fail, and
// [Store.RevocationUsage] says ReadOnly.
//
// It refuses a symbolic link, and a file that belongs to another user or that
// others may read or write, with an error that says how to mend it: who can
// write to it can undo revocations.
func Open(path string, o Options) (*Store, error) { return openWith(path, o, newClock()) }

func openWith(path string, o Options, c clock) (*Store, error) {
	s := &Store{
		path:   path,
		limits: o.Limits.OrDefault(),
		clock:  c,
		writes: make(chan *write),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		more:   make(chan struct{}),
	}
	db, v, err := openFile(path)
	if err != nil {
		return nil, err
	}
	s.db = db
	s.epoch = v.report.Next.Epoch
	s.committed.Store(v.tx)
	err = s.beginPreparation(v.report.Format)
	if err := errors.Join(err, syncDirectory(path)); err != nil {
		return nil, errors.Join(wrap(err), s.closeFile())
	}
	if s.preparation.pending() {
		go s.run()
		return s, nil
	}
	if s.db, err = compact(path, db); err != nil {
		return nil, err
	}
	if s.db != db { // the new file counts anew
		s.committed.Store(0)
		s.preparation.sealed.Store(0)
	}
	go s.run()
	return s, nil
}

// Close waits for calls to end that the file has begun, and closes it. Other
// calls return [store.ErrClosed]. It is no error to call it again.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.stop) })
	<-s.done
	return s.closeFile()
}

// closeFile closes the file. Where bbolt would wait for ever for its own
// locks, its memory stays, and with it the lock on the file, until the process
// ends.
func (s *Store) closeFile() error {
	if !s.stuck.Load() {
		return s.db.Close()
	}
	if err := s.db.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// create makes the buckets of a new file.
func create(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	var all sum
	facts := &table{name: metaBucket, bucket: tx.Bucket(metaBucket), sum: &all}
	return errors.Join(
		facts.put(formatKey, []byte(format)),
		facts.put(epochKey, []byte(rand.Text())),
		writeSeal(tx, all),
	)
}

// syncDirectory makes the name of a new file durable. Windows cannot, and
// needs no such thing.
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

// number is how the file holds an integer.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

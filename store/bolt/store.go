package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"

	"wsauth/store"
)

// ErrLocked means that another process, or another Store, has the file open.
var ErrLocked = errors.New("store/bolt: the file is in use")

// ErrFormat means that the file is a database of something else, or of another version.
var ErrFormat = errors.New("store/bolt: not a store of this version")

// lockTimeout is how long Open waits for another process to let go of a file.
const lockTimeout = time.Second

// format is what the file says of its own layout.
const format = "wsauth store 1"

// The buckets, and the keys of meta. Integers are big-endian, 8 bytes.
var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
	epochKey   = []byte("revocations.epoch") // text: which log this is
	countKey   = []byte("revocations.count") // how many entries the log has

	logBucket    = []byte("revocations.log")    // sequence: encoded revocation
	namesBucket  = []byte("revocations.names")  // scope and ID: sequence
	expiryBucket = []byte("revocations.expiry") // Expires in milliseconds and sequence: nothing
)

// Options vary a store. The zero value is good.
type Options struct {
	// Limit is how many revocations the log holds at most, gone ones that
	// were not swept yet included. Default: [store.DefaultLimit].
	Limit int
}

// Store is one open file. It is safe for concurrent use.
type Store struct {
	db    *bbolt.DB
	epoch string
	limit uint64

	writes chan *write   // to the writer
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the writer has ended
	once   sync.Once     // of Close

	mu   sync.Mutex
	more chan struct{} // closed when the log grows, then replaced
}

var _ store.Revocations = (*Store)(nil)

// Open opens a file, or makes it with mode 0600 in a directory that exists. It
// fails with [ErrLocked] if another process has it open for a second yet.
func Open(path string, o Options) (*Store, error) {
	if o.Limit <= 0 {
		o.Limit = store.DefaultLimit
	}
	// The list of free pages is rebuilt by Open, rather than written anew by
	// every commit: it is long after a great sweep.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	if errors.Is(err, bberrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("store/bolt: %w", err)
	}
	s := &Store{
		db:     db,
		limit:  uint64(o.Limit),
		writes: make(chan *write),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		more:   make(chan struct{}),
	}
	if err := errors.Join(db.Update(s.prepare), syncDirectory(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("store/bolt: %w", err), db.Close())
	}
	go s.run()
	return s, nil
}

// Close waits for calls to end that the file has begun, and closes it. Other
// calls return [store.ErrClosed]. It is no error to call it again.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.stop) })
	<-s.done
	return s.db.Close()
}

// prepare makes the buckets of a new file, and reads which log an old one has.
func (s *Store) prepare(tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return ErrFormat
		}
		var err error
		if meta, err = create(tx); err != nil {
			return err
		}
	}
	if string(meta.Get(formatKey)) != format {
		return ErrFormat
	}
	for _, name := range [][]byte{logBucket, namesBucket, expiryBucket} {
		if tx.Bucket(name) == nil {
			return ErrFormat
		}
	}
	s.epoch = string(meta.Get(epochKey))
	return nil
}

func create(tx *bbolt.Tx) (*bbolt.Bucket, error) {
	for _, name := range [][]byte{metaBucket, logBucket, namesBucket, expiryBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return nil, err
		}
	}
	meta := tx.Bucket(metaBucket)
	return meta, errors.Join(
		meta.Put(formatKey, []byte(format)),
		meta.Put(epochKey, []byte(rand.Text())),
		meta.Put(countKey, number(0)),
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

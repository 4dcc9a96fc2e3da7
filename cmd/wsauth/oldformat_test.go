package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"
)

// fullEnv has a server write no file beyond its first two pages, as on a full
// disk.
const fullEnv = "WSAUTH_TEST_FULL"

// serveMain runs main with the limits that the environment asks for.
func serveMain() {
	if os.Getenv(fullEnv) != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 2 * 4096, Max: 2 * 4096}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
	}
	main()
}

// oldFormat makes a store one of the format without checksums.
func oldFormat(ts *testscript.TestScript, _ bool, args []string) {
	const checksum = 8 // bytes at the end of each value
	db, err := bbolt.Open(ts.MkAbs(args[0]), 0o600, &bbolt.Options{NoFreelistSync: true})
	ts.Check(err)
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			var keys, values [][]byte
			err := b.ForEach(func(key, value []byte) error {
				keys = append(keys, bytes.Clone(key))
				values = append(values, bytes.Clone(value[:len(value)-checksum]))
				return nil
			})
			for i, key := range keys {
				err = errors.Join(err, b.Put(key, values[i]))
			}
			return err
		})
	})
	ts.Check(err)
	err = db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		return errors.Join(meta.Delete([]byte("seal")), meta.Put([]byte("format"), []byte("wsauth store 1")))
	})
	ts.Check(errors.Join(err, db.Close()))
}

package main

import (
	"bytes"
	"errors"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"
)

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

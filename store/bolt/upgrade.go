package bolt

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// oldFormat is what a file says of its layout that has no checksums.
const oldFormat = "wsauth store 1"

// upgrade gives each record of an old file its checksum, and seals them.
func upgrade(tx *bbolt.Tx) error {
	var all sum
	for _, name := range buckets {
		b := tx.Bucket(name)
		var keys, values [][]byte
		err := b.ForEach(func(key, value []byte) error {
			if bytes.Equal(name, metaBucket) && bytes.Equal(key, formatKey) {
				value = []byte(format)
			}
			keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
			return nil
		})
		if err != nil {
			return err
		}
		for i, key := range keys {
			check := checksum(name, key, values[i])
			all.add(check)
			if err := b.Put(key, binary.BigEndian.AppendUint64(values[i], check)); err != nil {
				return err
			}
		}
	}
	return writeSeal(tx, all)
}

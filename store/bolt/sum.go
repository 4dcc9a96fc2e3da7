package bolt

import (
	"crypto/sha256"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// checksumSize is the length of the checksum at the end of each value.
const checksumSize = 8

// checksum returns the checksum of a record: the first 8 bytes of the SHA-256
// of its bucket, key and value. The bucket and the key are part of it so that
// a record in another's place is noticed. A CRC would not do: it is linear, so
// that the XOR of all of them would miss values that were exchanged. It is no
// secret, and no protection against somebody who can write to the file.
func checksum(bucket, key, value []byte) uint64 {
	var room [512]byte
	b := append(room[:0], byte(len(bucket)))
	b = append(b, bucket...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = append(b, key...)
	b = append(b, value...)
	hash := sha256.Sum256(b)
	return binary.BigEndian.Uint64(hash[:])
}

// unsealed returns the value of a record without its checksum, and the
// checksum. It reports false when the checksum is wrong.
func unsealed(bucket, key, stored []byte) (value []byte, check uint64, ok bool) {
	end := len(stored) - checksumSize
	if end < 0 {
		return nil, 0, false
	}
	check = binary.BigEndian.Uint64(stored[end:])
	return stored[:end:end], check, check == checksum(bucket, key, stored[:end])
}

// A sum is what the file says of all its records together: how many they are,
// and the XOR of their checksums. A record that is lost, or that an older copy
// of its page has brought back, changes it.
type sum struct{ count, xor uint64 }

func (s *sum) add(check uint64) { s.count++; s.xor ^= check }

func (s *sum) remove(check uint64) { s.count--; s.xor ^= check }

// A seal is the one record of the file that is not part of the sum, because it
// says what the sum is. Each commit writes it.
type seal struct {
	tx   uint64 // the transaction that wrote it; older pages have an older one
	sum  sum
	last uint64 // the sequence of the log
}

func (s seal) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.tx)
	b = binary.BigEndian.AppendUint64(b, s.sum.count)
	b = binary.BigEndian.AppendUint64(b, s.sum.xor)
	b = binary.BigEndian.AppendUint64(b, s.last)
	return binary.BigEndian.AppendUint64(b, checksum(metaBucket, sealKey, b))
}

// decodeSeal reads what encode wrote, and reports whether it is that.
func decodeSeal(stored []byte) (s seal, ok bool) {
	value, _, ok := unsealed(metaBucket, sealKey, stored)
	if !ok || len(value) != 4*8 {
		return seal{}, false
	}
	return seal{
		tx:   binary.BigEndian.Uint64(value),
		sum:  sum{binary.BigEndian.Uint64(value[8:]), binary.BigEndian.Uint64(value[16:])},
		last: binary.BigEndian.Uint64(value[24:]),
	}, true
}

// writeSeal seals what a transaction is about to commit.
func writeSeal(tx *bbolt.Tx, s sum) error {
	sealed := seal{tx: uint64(tx.ID()), sum: s, last: tx.Bucket(logBucket).Sequence()}
	return tx.Bucket(metaBucket).Put(sealKey, sealed.encode())
}

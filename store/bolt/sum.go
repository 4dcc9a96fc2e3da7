package bolt

import (
	"crypto/sha256"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// checksumSize is the length of the checksum at the end of each value.
const checksumSize = 8

// checksum returns the checksum of a record: the first 8 bytes of the SHA-256
// of its bucket, key and value. Bucket and key are included so that a misplaced
// record is detected. A CRC would be unsuitable: it is linear, so the XOR of
// all checksums would not change if records exchanged their values. The
// checksum does not protect against attackers who can write to the file.
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

// unsealed splits the stored value of a record into value and checksum. It
// returns false if the checksum is wrong.
func unsealed(bucket, key, stored []byte) (value []byte, check uint64, ok bool) {
	end := len(stored) - checksumSize
	if end < 0 {
		return nil, 0, false
	}
	check = binary.BigEndian.Uint64(stored[end:])
	return stored[:end:end], check, check == checksum(bucket, key, stored[:end])
}

// A sum summarizes all records: their number and the XOR of their checksums. It
// changes if a record is lost or replaced with an older copy.
type sum struct{ count, xor uint64 }

func (s *sum) add(check uint64) { s.count++; s.xor ^= check }

func (s *sum) remove(check uint64) { s.count--; s.xor ^= check }

// A seal is a record that contains the sum of all other records. Each commit
// writes it.
type seal struct {
	tx   uint64 // the transaction that wrote it
	sum  sum
	last uint64 // sequence number of the log
}

func (s seal) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.tx)
	b = binary.BigEndian.AppendUint64(b, s.sum.count)
	b = binary.BigEndian.AppendUint64(b, s.sum.xor)
	b = binary.BigEndian.AppendUint64(b, s.last)
	return binary.BigEndian.AppendUint64(b, checksum(metaBucket, sealKey, b))
}

// decodeSeal decodes a seal, and reports whether it is valid.
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

// writeSeal seals the records that a transaction is about to commit.
func writeSeal(tx *bbolt.Tx, s sum) error {
	sealed := seal{tx: uint64(tx.ID()), sum: s, last: tx.Bucket(logBucket).Sequence()}
	return tx.Bucket(metaBucket).Put(sealKey, sealed.encode())
}

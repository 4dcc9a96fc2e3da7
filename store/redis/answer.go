package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// errAnswer means that an answer has an unexpected form: another program has
// written to the keys, or the server is neither Redis nor Valkey.
var errAnswer = errors.New("store/redis: the engine's answer is not valid")

// A readPage is the answer of the script that reads a page.
type readPage struct {
	now         time.Time
	next        store.Cursor
	end         bool
	beat        beat // the newest
	known       beat // the newest that was confirmed
	followed    string
	revocations []store.Revocation
	events      []store.Event
}

// A beat is a heartbeat: a time and a sequence number of the log.
type beat struct {
	at       time.Time
	sequence uint64
}

// page returns r as a [store.Page]. Known is the time of the newest beat, or of
// the newest confirmed one if confirmed is set. It is zero if that beat is
// after the page.
func (r readPage) page(confirmed bool) store.Page {
	known := r.beat
	if confirmed {
		known = r.known
	}
	if known.sequence == 0 || known.sequence > r.next.Sequence {
		known.at = time.Time{}
	}
	return store.Page{Revocations: r.revocations, Events: r.events, Next: r.next, End: r.end, Now: r.now, Known: known.at}
}

// pageHead is the number of values that precede the entries of a page.
const pageHead = 11

// decodePage decodes a page after a cursor. It omits entries that have expired
// or that the revocation of everything covers. The engine removes them later.
func decodePage(answer []string, after store.Cursor) (readPage, error) {
	if len(answer) == 1 && answer[0] == "CURSOR" {
		return readPage{}, store.ErrCursor
	}
	if len(answer) < pageHead || answer[0] != "OK" || (len(answer)-pageHead)%3 != 0 || !plausible(store.Cursor{Epoch: answer[2], Sequence: 1}) {
		return readPage{}, errAnswer
	}
	numbers := numbers(answer[1], answer[3], answer[4], answer[5], answer[6], answer[7])
	if numbers == nil {
		return readPage{}, errAnswer
	}
	r := readPage{
		now:      time.UnixMilli(int64(numbers[0])).UTC(),
		next:     store.Cursor{Epoch: answer[2], Sequence: after.Sequence},
		end:      answer[10] == "1",
		beat:     beat{time.UnixMilli(int64(numbers[2])).UTC(), numbers[3]},
		known:    beat{time.UnixMilli(int64(numbers[4])).UTC(), numbers[5]},
		followed: answer[8],
	}
	var all store.Revocation
	if answer[9] != "" {
		var err error
		if all, err = storekit.DecodeRevocation([]byte(answer[9])); err != nil || all.Target != store.TargetAll {
			return readPage{}, errAnswer
		}
	}
	for entry := answer[pageHead:]; len(entry) > 0; entry = entry[3:] {
		id, _ := strings.CutSuffix(entry[0], "-0")
		sequence, err := strconv.ParseUint(id, 10, 53)
		if err != nil || sequence <= r.next.Sequence || sequence > numbers[1] {
			return readPage{}, errAnswer
		}
		r.next.Sequence = sequence
		if err := r.add(entry[1], entry[2], all); err != nil {
			return readPage{}, err
		}
	}
	if r.end {
		r.next.Sequence = numbers[1]
	}
	return r, nil
}

// add adds an entry, unless it has expired or all covers it.
func (r *readPage) add(field, payload string, all store.Revocation) error {
	switch field {
	case "r":
		revocation, err := storekit.DecodeRevocation([]byte(payload))
		if err != nil {
			return fmt.Errorf("%w: a revocation", errAnswer)
		}
		covered := revocation.Target != store.TargetAll && all.Target == store.TargetAll && all.Covers(revocation)
		if !revocation.Obsolete(r.now) && !covered {
			r.revocations = append(r.revocations, revocation)
		}
	case "e":
		event, err := decodeEvent(payload)
		if err != nil {
			return err
		}
		if !event.Expired(r.now) {
			r.events = append(r.events, event)
		}
	default:
		return fmt.Errorf("%w: an entry of another version", errAnswer)
	}
	return nil
}

// decodePosition decodes the end of the log.
func decodePosition(answer []string) (position, error) {
	if len(answer) != 4 || !plausible(store.Cursor{Epoch: answer[1], Sequence: 1}) {
		return position{}, errAnswer
	}
	numbers := numbers(answer[0], answer[2], answer[3])
	if numbers == nil {
		return position{}, errAnswer
	}
	return position{time.UnixMilli(int64(numbers[0])).UTC(), store.Cursor{Epoch: answer[1], Sequence: numbers[1]}, int(numbers[2])}, nil
}

// numbers parses whole numbers below 2^53. It returns nil if one is not valid.
func numbers(texts ...string) []uint64 {
	all := make([]uint64, len(texts))
	for i, text := range texts {
		n, err := strconv.ParseUint(text, 10, 53)
		if err != nil {
			return nil
		}
		all[i] = n
	}
	return all
}

// appendEvent appends the encoding of e, which must be canonical, to b. The
// encoding is Kind, preceded by its length in 1 byte; ID, preceded by its
// length in 2 bytes; Expires as big-endian milliseconds since 1970 in 8 bytes;
// then Data.
func appendEvent(b []byte, e store.Event) []byte {
	b = append(append(b, byte(len(e.Kind))), e.Kind...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(e.ID))), e.ID...)
	return append(binary.BigEndian.AppendUint64(b, uint64(e.Expires.UnixMilli())), e.Data...)
}

// decodeEvent decodes the output of appendEvent.
func decodeEvent(text string) (store.Event, error) {
	var e store.Event
	if len(text) < 1 || len(text) < 1+int(text[0])+2 {
		return e, fmt.Errorf("%w: an event", errAnswer)
	}
	e.Kind, text = text[1:1+int(text[0])], text[1+int(text[0]):]
	length := int(text[0])<<8 | int(text[1])
	if text = text[2:]; len(text) < length+8 {
		return store.Event{}, fmt.Errorf("%w: an event", errAnswer)
	}
	e.ID, text = text[:length], text[length:]
	e.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64([]byte(text[:8])))).UTC()
	if text = text[8:]; text != "" {
		e.Data = []byte(text)
	}
	canonical, err := e.Canonical()
	if err != nil || !canonical.Expires.Equal(e.Expires) {
		return store.Event{}, fmt.Errorf("%w: an event", errAnswer)
	}
	return canonical, nil
}

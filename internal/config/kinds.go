package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes. In a file it may have a unit: 64KiB, 1MiB,
// 2GiB.
type Size int64

var units = []struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String formats the size in the largest unit of which it is a multiple.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize parses a size such as 64KiB.
func ParseSize(s string) (Size, error) {
	unit := Size(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n > uint64(math.MaxInt64)/uint64(unit) {
		return 0, fmt.Errorf("must be a size such as 64KiB, 1MiB or 2GiB, or a number of bytes")
	}
	return Size(n) * unit, nil
}

// ParseDuration parses a duration that is not negative.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("must be a duration such as 500ms, 30s, 15m or 720h")
	}
	return d, nil
}

// OneOrMore is one text or a list of texts. Numbers and booleans are
// accepted as text.
type OneOrMore []string

func (o *OneOrMore) read(d *decoder, key string, n *node) {
	*o = nil
	switch n.kind {
	case text, number, boolean:
		*o = OneOrMore{n.text}
	case list:
		for i, item := range n.items {
			if item.kind != text && item.kind != number && item.kind != boolean {
				d.fault(fmt.Sprintf("%s[%d]", key, i), item.line, "must be one value; found %s", item.kind)
				continue
			}
			*o = append(*o, item.text)
		}
	default:
		d.fault(key, n.line, "must be a value, or a list of values; found %s", n.kind)
	}
}

// Origins is a list of origins. In a file, the word any may replace the list.
// It is then the only entry.
type Origins []string

// anyOrigin is the word for all origins.
const anyOrigin = "any"

func (o *Origins) read(d *decoder, key string, n *node) {
	*o = nil
	switch {
	case n.kind == text && n.text == anyOrigin:
		*o = Origins{anyOrigin}
	case n.kind == list:
		for i, item := range n.items {
			at := fmt.Sprintf("%s[%d]", key, i)
			d.lines[at] = item.line
			d.scalar(at, item, "text", func(s string) error {
				*o = append(*o, s)
				return nil
			}, text)
		}
	default:
		d.notA("a list, such as [a, b]", "[]", key, n)
	}
}

package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes. In a file it has a unit: 64KiB, 1MiB, 2GiB, or none for bytes.
type Size int64

var units = []struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String is the size with the largest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a size, such as 64KiB.
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

// ParseDuration reads a duration that is not negative.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("must be a duration such as 500ms, 30s, 15m or 720h")
	}
	return d, nil
}

// OneOrMore are texts: in a file one, or a list of them. Numbers and truth values count as they are written.
type OneOrMore []string

func (o *OneOrMore) read(d *decoder, key string, n *node) {
	*o = nil
	switch n.kind {
	case text, number, truth:
		*o = OneOrMore{n.text}
	case list:
		for i, item := range n.items {
			if item.kind != text && item.kind != number && item.kind != truth {
				d.fault(fmt.Sprintf("%s[%d]", key, i), item.line, "must be one value; here is %s", item.kind)
				continue
			}
			*o = append(*o, item.text)
		}
	default:
		d.fault(key, n.line, "must be a value, or a list of values; here is %s", n.kind)
	}
}

// Origins are a list of origins, or in a file the word any, which is then the
// only entry.
type Origins []string

// anyOrigin stands for every origin.
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

package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A decoder decodes nodes into Go values. It continues after a fault.
type decoder struct {
	folder string         // base of relative file names
	lines  map[string]int // lines of keys and items
	faults Faults
}

// A nodeReader is a type that decodes its node itself.
type nodeReader interface {
	read(d *decoder, key string, n *node)
}

func (d *decoder) fault(key string, line int, format string, args ...any) {
	d.faults = append(d.faults, Fault{Key: key, Line: line, Text: fmt.Sprintf(format, args...)})
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// value decodes n into v. Keys that n lacks keep their value in v.
func (d *decoder) value(key string, n *node, v reflect.Value, tag reflect.StructTag) {
	if n.kind == invalid {
		return
	}
	if c, ok := v.Addr().Interface().(nodeReader); ok {
		c.read(d, key, n)
		return
	}
	switch {
	case v.Type() == durationType:
		d.scalar(key, n, "a duration such as 15m", func(s string) error { return setTo(v, s, ParseDuration) }, text, number)
	case v.Type() == sizeType:
		d.scalar(key, n, "a size such as 1MiB", func(s string) error { return setTo(v, s, ParseSize) }, text, number)
	case v.Kind() == reflect.String:
		d.scalar(key, n, "text", func(s string) error { return d.setText(v, s, tag) }, text)
	case v.Kind() == reflect.Int:
		d.scalar(key, n, "a whole number", func(s string) error { return setTo(v, s, parseInt) }, number)
	case v.Kind() == reflect.Bool:
		d.scalar(key, n, "true or false", func(s string) error { return setTo(v, s, strconv.ParseBool) }, boolean)
	case v.Kind() == reflect.Slice:
		d.list(key, n, v)
	case v.Kind() == reflect.Map:
		d.mapping(key, n, v)
	case v.Kind() == reflect.Struct:
		d.decodeStruct(key, n, v)
	default:
		// Unreachable: the tests decode every key.
		panic("config: no value of the type " + v.Type().String())
	}
	if _, positive := tag.Lookup("positive"); positive && v.IsZero() && !d.faults.concernKey(key) {
		d.fault(key, n.line, "must be more than 0")
	}
}

// scalar calls set with the text of n, which must be of one of the kinds.
func (d *decoder) scalar(key string, n *node, wanted string, set func(string) error, kinds ...kind) {
	switch {
	case n.kind == none:
		d.fault(key, n.line, "has no value: it must be %s; remove the line to use the default", wanted)
	case n.kind == number && !slices.Contains(kinds, number):
		d.fault(key, n.line, "must be %s; found a number: write it in quotes to make it text", wanted)
	case !slices.Contains(kinds, n.kind):
		d.fault(key, n.line, "must be %s; found %s", wanted, n.kind)
	default:
		if err := set(n.text); err != nil {
			d.fault(key, n.line, "%v", err)
		}
	}
}

func setTo[T any](v reflect.Value, s string, parse func(string) (T, error)) error {
	parsed, err := parse(s)
	if err == nil {
		v.Set(reflect.ValueOf(parsed))
	}
	return err
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("must be a whole number that is not negative")
	}
	return n, nil
}

func (d *decoder) setText(v reflect.Value, s string, tag reflect.StructTag) error {
	if words := tag.Get("enum"); words != "" && !slices.Contains(strings.Split(words, ","), s) {
		return fmt.Errorf("must be one of %s", strings.ReplaceAll(words, ",", ", "))
	}
	_, file := tag.Lookup("file")
	_, mayBeOff := tag.Lookup("off")
	if file && s != "" && !filepath.IsAbs(s) && (s != Off || !mayBeOff) {
		s = filepath.Join(d.folder, s)
	}
	v.SetString(s)
	return nil
}

// list replaces v by the items of n.
func (d *decoder) list(key string, n *node, v reflect.Value) {
	if n.kind != list {
		d.notA("a list, such as [a, b]", "[]", key, n)
		return
	}
	all := reflect.MakeSlice(v.Type(), 0, len(n.items))
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", key, i)
		d.lines[at] = item.line
		one := reflect.New(v.Type().Elem()).Elem()
		if p, ok := one.Addr().Interface().(interface{ preset() }); ok {
			p.preset()
		}
		d.value(at, item, one, "")
		all = reflect.Append(all, one)
	}
	v.Set(all)
}

// notA reports that n is not the wanted collection. A missing value is an error
// and does not mean an empty collection: a list whose items were all removed,
// such as scopes, must not grant access by accident.
func (d *decoder) notA(wanted, empty, key string, n *node) {
	if n.kind == none {
		d.fault(key, n.line, "has no value: write %s for none, or remove the line to use the default", empty)
		return
	}
	d.fault(key, n.line, "must be %s; found %s", wanted, n.kind)
}

// mapping replaces v by the pairs of n, whose keys are arbitrary.
func (d *decoder) mapping(key string, n *node, v reflect.Value) {
	if n.kind != mapping {
		d.notA("a mapping, such as {a: b}", "{}", key, n)
		return
	}
	all := reflect.MakeMap(v.Type())
	for _, p := range d.withoutDuplicates(key, n) {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(child(key, p.key), p.value, one, "")
		all.SetMapIndex(reflect.ValueOf(p.key), one)
	}
	v.Set(all)
}

// decodeStruct decodes the pairs of n into the fields of v.
func (d *decoder) decodeStruct(key string, n *node, v reflect.Value) {
	if n.kind != mapping && n.kind != none {
		d.fault(key, n.line, "must be a mapping, such as {a: b}; found %s", n.kind)
		return
	}
	names := map[string]int{}
	for i := range v.NumField() {
		names[v.Type().Field(i).Tag.Get("yaml")] = i
	}
	for _, p := range d.withoutDuplicates(key, n) {
		i, known := names[p.key]
		if !known {
			d.unknown(key, p, names)
			continue
		}
		d.value(child(key, p.key), p.value, v.Field(i), v.Type().Field(i).Tag)
	}
	if s, ok := v.Addr().Interface().(interface{ setDependent(func(string) bool) }); ok {
		s.setDependent(func(name string) bool { return d.lines[key+"."+name] > 0 })
	}
}

// withoutDuplicates returns the pairs of n without duplicates, and records
// their lines.
func (d *decoder) withoutDuplicates(key string, n *node) []pair {
	var all []pair
	for _, p := range n.pairs {
		at := child(key, p.key)
		if first := d.lines[at]; first > 0 {
			d.fault(at, p.line, "duplicate key, first in line %d: remove one of the two", first)
			continue
		}
		d.lines[at] = p.line
		all = append(all, p)
	}
	return all
}

// unknown reports an unknown key, and suggests a similar one.
func (d *decoder) unknown(key string, p pair, names map[string]int) {
	at := child(key, p.key)
	if meant := nearest(p.key, names); meant != "" {
		d.fault(at, p.line, "unknown key; did you mean %s?", meant)
		d.faults[len(d.faults)-1].meant = child(key, meant)
		return
	}
	d.fault(at, p.line, "unknown key; known keys are %s", strings.Join(sortedKeys(names), ", "))
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)

// child returns the name of the key called name within key. A name that is not
// a plain word is quoted, so that it cannot control a terminal.
func child(key, name string) string {
	if !plainKey.MatchString(name) {
		return fmt.Sprintf("%s[%.60q]", key, name)
	}
	if key == "" {
		return name
	}
	return key + "." + name
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nearest returns the name that is most similar to s, or "" if none is
// similar.
func nearest(s string, names map[string]int) string {
	best, limit := "", 2 // maximum number of different letters
	if len(s) > 40 {
		return ""
	}
	for _, name := range sortedKeys(names) {
		if d := editDistance(s, name); d <= limit && d < min(len(s), len(name)) {
			best, limit = name, d-1
		}
	}
	return best
}

// editDistance returns the number of letters to insert, delete or replace to
// turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left, above := row[0], 0
		row[0] = i + 1
		for j := range len(b) {
			above = row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, left+cost)
			left = above
		}
	}
	return row[len(b)]
}

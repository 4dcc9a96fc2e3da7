package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A HeaderLists says how a claim that is a list becomes the value of a
// header.
type HeaderLists string

// The ways to write a list.
const (
	// ListsByComma joins the entries by commas. A list with an entry that has
	// a comma or a double quote is refused, since it would be read as another
	// list: ["staff,admin"] as two groups. So are scopes with a space.
	ListsByComma HeaderLists = "comma"

	// ListsAsJSON writes a JSON array in ASCII, also of one entry and of none.
	// A string that begins with a bracket and is no list is refused.
	ListsAsJSON HeaderLists = "json"
)

var (
	errSeparator = errors.New("is a list with a comma or a double quote in an entry, which would be read as another list; header_lists: json can carry it")
	errSpace     = errors.New("has a space in an entry, which would be read as two; header_lists: json can carry it")
	errNotAList  = errors.New("is no list, and begins with a bracket as lists do")
)

// A claimItem is a string, a number or a truth value.
type claimItem struct {
	text   string
	quoted bool // a string
}

// listNames are the claims that servers read as lists, in the order of bytes:
// those of RFC 9068 section 2.2.3.1, and what providers call theirs.
var listNames = []string{"entitlements", "group", "groups", "permissions", "role", "roles", "scope", "scopes", "scp"}

// isListName reports whether a claim is read as a list even where a token has
// a string there. What counts is the last part of its name:
// realm_access.roles, cognito:groups, https://app.example/roles.
func isListName(name string) bool {
	last := strings.ToLower(name[strings.LastIndexAny(name, ".:/")+1:])
	_, found := slices.BinarySearch(listNames, last)
	return found
}

// isWordsName reports whether a claim that is a string has words in it, with
// spaces between them (RFC 8693 section 4.2).
func isWordsName(name string) bool { return name == "scope" || name == "scp" }

// headerValue writes the items of a claim, "" for none.
func (l HeaderLists) headerValue(name string, items []claimItem, list bool) (string, error) {
	bare := !list && len(items) == 1 && items[0].quoted && isListName(name)
	if l == ListsAsJSON {
		if bare && isWordsName(name) {
			items = words(items[0].text)
		}
		if list || bare {
			return jsonArray(items)
		}
		if len(items) == 1 && items[0].quoted && strings.HasPrefix(items[0].text, "[") {
			return "", errNotAList
		}
	}
	texts := make([]string, len(items))
	for i, item := range items {
		switch {
		case (list || bare) && strings.ContainsAny(item.text, `,"`):
			return "", errSeparator
		case list && isWordsName(name) && strings.ContainsFunc(item.text, unicode.IsSpace):
			return "", errSpace
		}
		var err error
		if texts[i], err = tellable(item.text); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, ","), nil
}

func words(text string) []claimItem {
	var all []claimItem
	for word := range strings.FieldsSeq(text) {
		all = append(all, claimItem{word, true})
	}
	return all
}

// jsonArray writes items as a JSON array in printable ASCII, which passes
// every server unchanged.
func jsonArray(items []claimItem) (string, error) {
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		if !item.quoted {
			b = append(b, item.text...)
			continue
		}
		if len(item.text) > maxTold || strings.ContainsFunc(item.text, isControl) || !utf8.ValidString(item.text) {
			return "", errUntellable
		}
		b = appendASCII(b, item.text)
	}
	return string(append(b, ']')), nil
}

// appendASCII appends s as a JSON string in which everything beyond ASCII is
// escaped (RFC 8259 section 7).
func appendASCII(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r < 0x7f:
			b = append(b, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}

// itemOf reads a JSON string, number or truth value.
func itemOf(v jsontext.Value) (claimItem, error) {
	text, err := scalar(v)
	return claimItem{text, v.Kind() == '"'}, err
}

func itemsOf(texts []string) []claimItem {
	items := make([]claimItem, len(texts))
	for i, text := range texts {
		items[i] = claimItem{text, true}
	}
	return items
}

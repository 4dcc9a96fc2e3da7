package proxy

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

// HeaderLists is the format in which headers carry claims that are lists.
type HeaderLists string

// The formats of lists.
const (
	// ListsByComma separates the entries by commas. A list is refused if an
	// entry contains a comma or a double quote, because servers would read it
	// as another list: ["staff,admin"] as two groups. A list of scopes is also
	// refused if an entry contains a space.
	ListsByComma HeaderLists = "comma"

	// ListsAsJSON writes a JSON array in ASCII, even for one entry or none. A
	// string that is not written as a list is refused if it begins with a
	// bracket, since it would look like one.
	ListsAsJSON HeaderLists = "json"
)

var (
	errSeparator = errors.New("is a list with a comma or a double quote in an entry, which would be read as another list; header_lists: json can carry it")
	errSpace     = errors.New("has a space in an entry, which would be read as two; header_lists: json can carry it")
	errBracket   = errors.New("is a string that begins with a bracket, which would be read as a list; header_lists: comma can carry it")
)

// A claimItem is a string, number or boolean in a claim.
type claimItem struct {
	text   string
	quoted bool // it is a string
}

// listNames are the names of claims that servers read as lists, sorted by
// bytes: those of RFC 9068 section 2.2.3.1, and those that providers use.
var listNames = []string{"entitlements", "group", "groups", "permissions", "role", "roles", "scope", "scopes", "scp"}

// isListName reports whether servers read a claim as a list even if it is a
// string in the token. Only the last part of its name matters:
// realm_access.roles, cognito:groups, https://app.example/roles.
func isListName(name string) bool {
	last := strings.ToLower(name[strings.LastIndexAny(name, ".:/")+1:])
	_, found := slices.BinarySearch(listNames, last)
	return found
}

// isWordsName reports whether a string claim consists of words separated by
// spaces (RFC 8693 section 4.2).
func isWordsName(name string) bool { return name == "scope" || name == "scp" }

// headerValue returns the items of a claim as the value of a header. "" means
// that the header is not sent. list reports whether the claim is a list in the
// token.
func (l HeaderLists) headerValue(name string, items []claimItem, list bool) (string, error) {
	bare := !list && len(items) == 1 && items[0].quoted && isListName(name)
	if l == ListsAsJSON {
		if bare && isWordsName(name) {
			items = splitWords(items[0].text)
		}
		if list || bare {
			return jsonArray(items)
		}
		if len(items) == 1 && items[0].quoted && strings.HasPrefix(items[0].text, "[") {
			return "", errBracket
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
		if texts[i], err = headerText(item.text); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, ","), nil
}

func splitWords(text string) []claimItem {
	var all []claimItem
	for word := range strings.FieldsSeq(text) {
		all = append(all, claimItem{word, true})
	}
	return all
}

// jsonArray returns items as a JSON array in printable ASCII, which every
// server passes on unchanged.
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
		if len(item.text) > MaxHeaderText || strings.ContainsFunc(item.text, isControl) || !utf8.ValidString(item.text) {
			return "", errNotScalar
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

// itemOf returns the item in v, a JSON string, number or boolean.
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

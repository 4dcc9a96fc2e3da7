package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxBytes  = 256 << 10 // of a file; the parser takes time by the square of it
	maxDepth  = 32        // of lists and mappings in brackets
	maxColumn = 512       // of a line's first words, and so of what is nested by indentation
)

// A kind is what a node is.
type kind int

const (
	none    kind = iota // nothing is there, or null
	text                // a string, plain or in quotes
	number              // as it is written
	truth               // true or false
	list                // [a, b] or lines that begin with a dash
	mapping             // {a: b} or lines of a: b
	refused             // a fault was noted, and nothing more is to be said of it
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "a number", "true or false", "a list", "a mapping", "what is not supported"}[k]
}

// A node is a value of the file.
type node struct {
	kind  kind
	line  int
	text  string // of text, number and truth
	items []*node
	pairs []pair
}

// A pair is one key of a mapping.
type pair struct {
	key   string
	line  int
	value *node
}

// A reading is the making of nodes.
type reading struct {
	lines  int // of the file
	faults Faults
}

// readNodes reads YAML. Nil is a file that is empty, or none; faults says which.
func readNodes(source []byte) (root *node, faults Faults) {
	source = bytes.TrimPrefix(source, []byte("\ufeff")) // a mark that some editors set (YAML 1.2 section 5.2)
	r := &reading{lines: 1 + strings.Count(strings.TrimSuffix(string(source), "\n"), "\n")}
	defer func() {
		if p := recover(); p != nil { // a fault of the parser must not end a server that runs
			root, faults = nil, Faults{{Line: 1, Text: "it is no YAML that can be read"}}
		}
	}()
	if at, wrong := unreadable(source); wrong != "" {
		r.fault(at, "%s", wrong)
		return nil, r.faults
	}
	file, err := parser.ParseBytes(source, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil, r.faults
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case doc.Body.Type() == ast.DirectiveType:
			r.fault(lineOf(doc.Body), "directives are not needed: remove the line")
		case root != nil:
			r.fault(lineOf(doc.Body), "a second document; there is one for each file")
		default:
			root = r.node(doc.Body)
		}
	}
	return root, r.faults
}

// unreadable says what the parser should not see, and in which line: it would take long over it.
func unreadable(source []byte) (line int, why string) {
	if len(source) > maxBytes {
		return 1, fmt.Sprintf("the file is longer than %d KiB", maxBytes>>10)
	}
	if !utf8.Valid(source) {
		line = 1
		for part := range strings.Lines(string(source)) {
			if !utf8.ValidString(part) {
				return line, "it is not UTF-8"
			}
			line++
		}
	}
	depth := 0
	for _, t := range lexer.Tokenize(string(source)) {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if t.Position.Column > maxColumn {
				return t.Position.Line, "it is nested too deeply"
			}
		}
		if depth > maxDepth {
			return t.Position.Line, "it is nested too deeply"
		}
	}
	return 0, ""
}

// quoted is what the parser repeats of the file: it may be what nobody else should read.
var quoted = regexp.MustCompile(`"[^"]{2,}"`)

// syntax notes what the parser stumbled over.
func (r *reading) syntax(err error) {
	line, what := 1, "it is no YAML that can be read"
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		what = "this is no YAML: " + quoted.ReplaceAllString(syntax.GetMessage(), `"…"`)
		if t := syntax.GetToken(); t != nil {
			line = t.Position.Line
		}
	}
	r.fault(line, "%s", what)
}

func (r *reading) fault(line int, format string, args ...any) {
	r.faults = append(r.faults, Fault{Line: r.inside(line), Text: fmt.Sprintf(format, args...)})
}

// inside is a line of the file, whatever the parser says.
func (r *reading) inside(line int) int { return min(max(line, 1), r.lines) }

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// node makes a node of what the parser has made. What configurations do without is refused: they read as they stand.
func (r *reading) node(n ast.Node) *node {
	made := &node{line: r.inside(lineOf(n))}
	refuse := func(why string) {
		r.fault(made.line, "%s", why)
		made.kind = refused
	}
	scalar := func(k kind) *node {
		made.kind, made.text = k, n.GetToken().Value
		return made
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return made
	case *ast.StringNode:
		made.kind, made.text = text, n.Value
	case *ast.LiteralNode:
		made.kind, made.text = text, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return scalar(number)
	case *ast.BoolNode:
		return scalar(truth)
	case *ast.SequenceNode:
		made.kind = list
		for _, item := range n.Values {
			made.items = append(made.items, r.node(item))
		}
	case *ast.MappingNode:
		made.kind = mapping
		for _, v := range n.Values {
			made.pairs = append(made.pairs, r.pair(v)...)
		}
	case *ast.MappingValueNode:
		made.kind, made.pairs = mapping, r.pair(n)
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		refuse("anchors and aliases (& * <<) are not supported: write the value where it counts")
	case *ast.TagNode:
		refuse("tags (!) are not supported: text that looks like a number or a truth value goes into quotes")
	default:
		refuse("this kind of YAML is not supported")
	}
	return made
}

// pair is nothing where the key is none.
func (r *reading) pair(v *ast.MappingValueNode) []pair {
	line := r.inside(lineOf(v.Key))
	switch key := v.Key.(type) {
	case *ast.StringNode:
		return []pair{{key.Value, line, r.node(v.Value)}}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return []pair{{key.GetToken().Value, line, r.node(v.Value)}}
	case *ast.MergeKeyNode:
		r.node(key)
	default:
		r.fault(line, "a key is one word")
	}
	return nil
}

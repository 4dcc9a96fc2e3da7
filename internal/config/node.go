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
	maxBytes = 256 << 10 // of a file; the parser's time is quadratic in it
	maxDepth = 32        // of lists and mappings in brackets
	// Maximum column of the first words of a line, which limits nesting by
	// indentation.
	maxColumn = 512
)

// A kind is the kind of a node.
type kind int

const (
	none    kind = iota // missing or null
	text                // a string, with or without quotes
	number              // as written
	boolean             // true or false
	list                // [a, b], or lines that begin with a dash
	mapping             // {a: b}, or lines of the form a: b
	invalid             // a fault has been reported
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "a number", "true or false", "a list", "a mapping", "an unsupported value"}[k]
}

// A node is a value in a file.
type node struct {
	kind  kind
	line  int
	text  string // for text, number and boolean
	items []*node
	pairs []pair
}

// A pair is a key of a mapping with its value.
type pair struct {
	key   string
	line  int
	value *node
}

// A yamlReader converts a file to nodes, and collects the faults.
type yamlReader struct {
	lines  int // number of lines in the file
	faults Faults
}

// readNodes parses YAML. root is nil if the file is empty or invalid; in the
// latter case there are faults.
func readNodes(source []byte) (root *node, faults Faults) {
	// Byte order mark of some editors (YAML 1.2 section 5.2).
	source = bytes.TrimPrefix(source, []byte("\ufeff"))
	r := &yamlReader{lines: 1 + strings.Count(strings.TrimSuffix(string(source), "\n"), "\n")}
	defer func() {
		// A bug of the parser must not crash a running server.
		if p := recover(); p != nil {
			root, faults = nil, Faults{{Line: 1, Text: "invalid YAML"}}
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
			r.fault(lineOf(doc.Body), "a second document: a file must have only one")
		default:
			root = r.node(doc.Body)
		}
	}
	return root, r.faults
}

// unreadable returns why source must not be passed to the parser, for example
// because parsing would take too long, and the line of the cause. reason is
// empty if source may be parsed.
func unreadable(source []byte) (line int, reason string) {
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

// quoted matches the parts of the file that errors of the parser quote. They
// may be confidential.
var quoted = regexp.MustCompile(`"[^"]{2,}"`)

// syntax reports a syntax error.
func (r *yamlReader) syntax(err error) {
	line, what := 1, "invalid YAML"
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		what = "invalid YAML: " + quoted.ReplaceAllString(syntax.GetMessage(), `"…"`)
		if t := syntax.GetToken(); t != nil {
			line = t.Position.Line
		}
	}
	r.fault(line, "%s", what)
}

func (r *yamlReader) fault(line int, format string, args ...any) {
	r.faults = append(r.faults, Fault{Line: r.clampLine(line), Text: fmt.Sprintf(format, args...)})
}

// clampLine returns line, or the nearest line that exists in the file.
func (r *yamlReader) clampLine(line int) int { return min(max(line, 1), r.lines) }

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// node converts a node of the parser. Features that configurations do not need
// are refused, so that a file means what it appears to mean.
func (r *yamlReader) node(n ast.Node) *node {
	made := &node{line: r.clampLine(lineOf(n))}
	refuse := func(reason string) {
		r.fault(made.line, "%s", reason)
		made.kind = invalid
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
		return scalar(boolean)
	case *ast.SequenceNode:
		made.kind = list
		for _, item := range n.Values {
			made.items = append(made.items, r.node(item))
		}
	case *ast.MappingNode:
		made.kind = mapping
		for _, v := range n.Values {
			made.pairs = append(made.pairs, r.convertPair(v)...)
		}
	case *ast.MappingValueNode:
		made.kind, made.pairs = mapping, r.convertPair(n)
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		refuse("anchors and aliases (& * <<) are not supported: write out the value")
	case *ast.TagNode:
		refuse("tags (!) are not supported: if a text looks like a number or a boolean, put it in quotes")
	default:
		refuse("this kind of YAML is not supported")
	}
	return made
}

// convertPair converts a key and its value. It returns nil if the key is
// invalid.
func (r *yamlReader) convertPair(v *ast.MappingValueNode) []pair {
	line := r.clampLine(lineOf(v.Key))
	switch key := v.Key.(type) {
	case *ast.StringNode:
		return []pair{{key.Value, line, r.node(v.Value)}}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return []pair{{key.GetToken().Value, line, r.node(v.Value)}}
	case *ast.MergeKeyNode:
		r.node(key)
	default:
		r.fault(line, "a key must be a single word")
	}
	return nil
}

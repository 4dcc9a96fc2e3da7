package wsauth_test

import (
	"bufio"
	"cmp"
	"context"
	"go/ast"
	"go/format"
	"go/parser"
	gotoken "go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/token"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tableRows returns the cells of the rows of the tables in a page that have
// this header, each row with the heading above it.
func tableRows(page, header string) (rows [][]string) {
	heading, inside := "", false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			heading, inside = strings.TrimLeft(line, "# "), false
		case line == header:
			inside = true
		case !strings.HasPrefix(line, "|"):
			inside = false
		case inside && !strings.HasPrefix(line, "|-"):
			cells := []string{heading}
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// TestErrorsPage checks that the page about errors has exactly the reasons of
// the code.
func TestErrorsPage(t *testing.T) {
	documented := map[wsauth.Reason]wsauth.Outcome{}
	for _, row := range tableRows(readDoc(t, "docs/errors.md"), "| reason | HTTP | close | text | when |") {
		if len(row) != 6 || row[5] == "" {
			t.Fatalf("row %q has not five filled cells", row)
		}
		reason := wsauth.Reason(strings.Trim(row[1], "`"))
		if _, twice := documented[reason]; twice {
			t.Errorf("%s is there twice", reason)
		}
		status, statusErr := strconv.Atoi(row[2])
		code, codeErr := strconv.Atoi(row[3])
		if err := cmp.Or(statusErr, codeErr); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
		advice := wsauth.Advice(strings.ToLower(row[0][:1]) + row[0][1:])
		documented[reason] = wsauth.Outcome{Status: status, Code: code, Text: row[4], Advice: advice}
	}
	actual := map[wsauth.Reason]wsauth.Outcome{}
	for _, reason := range wsauth.Reasons() {
		actual[reason] = reason.Outcome()
	}
	if diff := gocmp.Diff(actual, documented); diff != "" {
		t.Errorf("docs/errors.md differs (- code, + page):\n%s", diff)
	}
}

// TestCloseCodesPage checks that the page about close codes has each code of
// the guard with its reasons and its advice, and describes the browser client
// as the client's own table does.
func TestCloseCodesPage(t *testing.T) {
	actual := map[string]string{}
	for _, reason := range wsauth.Reasons() {
		outcome := reason.Outcome()
		code := strconv.Itoa(outcome.Code)
		reasons, advice, _ := strings.Cut(actual[code], ": ")
		if advice != "" && advice != string(outcome.Advice) {
			t.Errorf("%s of %s: %s, but others of this code: %s", code, reason, outcome.Advice, advice)
		}
		all := append(strings.Fields(reasons), "`"+string(reason)+"`")
		slices.Sort(all)
		actual[code] = strings.Join(all, " ") + ": " + string(outcome.Advice)
	}
	client := map[string]string{}
	for _, entry := range regexp.MustCompile(`(?m)^  (\d{4}): "(\w+)",`).FindAllStringSubmatch(readDoc(t, "client/advice.js"), -1) {
		client[entry[1]] = "`" + entry[2] + "`"
	}
	page := readDoc(t, "docs/close-codes.md")
	documented := map[string]string{}
	rows := tableRows(page, "| code | reasons | what it means | advice | `client/wsauth.js` |")
	for _, row := range rows {
		documented[row[1]] = strings.ReplaceAll(row[2], ",", "") + ": " + row[4]
	}
	if diff := gocmp.Diff(actual, documented); diff != "" {
		t.Errorf("docs/close-codes.md differs (- code, + page):\n%s", diff)
	}
	for _, row := range append(rows, tableRows(page, "| code | who sends it | what it means | `client/wsauth.js` |")...) {
		if want := cmp.Or(client[row[1]], "`retry`"); row[len(row)-1] != want {
			t.Errorf("%s: the page says that the client does %s; it does %s", row[1], row[len(row)-1], want)
		}
		delete(client, row[1])
	}
	if len(client) > 0 {
		t.Errorf("the page leaves out what the client does after %v", client)
	}
}

// TestErrorsPageExample checks that the page about errors shows the response
// that a client gets.
func TestErrorsPageExample(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: expiredVerifier{}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	guard.Require(wsauth.Access)(http.NotFoundHandler()).ServeHTTP(w, r)
	var answer strings.Builder
	answer.WriteString("HTTP/1.1 " + w.Result().Status + "\n")
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		answer.WriteString(name + ": " + w.Header().Get(name) + "\n")
	}
	answer.WriteString("\n" + w.Body.String())
	_, example, _ := strings.Cut(readDoc(t, "docs/errors.md"), "```http\n")
	example, _, _ = strings.Cut(example, "```")
	if diff := gocmp.Diff(answer.String(), example); diff != "" {
		t.Errorf("(- answer, + page):\n%s", diff)
	}
}

// TestErrorsPageHeaders checks that the table of headers in the page about
// errors has all headers that a refusal adds, for each reason.
func TestErrorsPageHeaders(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: expiredVerifier{}})
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for _, row := range tableRows(readDoc(t, "docs/errors.md"), "| status | header |") {
		for _, field := range regexp.MustCompile("`([A-Za-z-]+: [^`]+|WWW-Authenticate: Bearer)`").FindAllStringSubmatch(row[2], -1) {
			documented[row[1]] = append(documented[row[1]], field[1])
		}
	}
	rowOf := func(reason wsauth.Reason) string {
		switch status := reason.Outcome().Status; {
		case reason == wsauth.TokenMissing:
			return "401, no credential was sent"
		case status == http.StatusUnauthorized:
			return "401 otherwise"
		case reason == wsauth.InvalidRequest:
			return "400 `invalid_request`"
		case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
			return "429 and 503"
		default:
			return strconv.Itoa(status)
		}
	}
	const everyUpgrade = "every refused upgrade"
	used := map[string]bool{everyUpgrade: true}
	for _, reason := range wsauth.Reasons() {
		for _, upgrade := range []bool{false, true} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			want := slices.Clone(documented[rowOf(reason)])
			used[rowOf(reason)] = true
			if upgrade {
				r.Header.Set("Upgrade", "websocket")
				want = append(want, documented[everyUpgrade]...)
			}
			w := httptest.NewRecorder()
			guard.Refuse(w, r, &wsauth.Error{Reason: reason})
			var got []string
			for name, values := range w.Header() {
				switch name {
				case "Cache-Control", "Content-Length", "Content-Type", "X-Content-Type-Options":
				default:
					got = append(got, strings.Replace(name, "Www-", "WWW-", 1)+": "+strings.Join(values, ", "))
				}
			}
			for _, all := range []*[]string{&got, &want} {
				for i := range *all {
					(*all)[i] = strings.ToLower((*all)[i])
				}
				slices.Sort(*all)
			}
			if diff := gocmp.Diff(got, want); diff != "" {
				t.Errorf("%s, upgrade %v (- answer, + page):\n%s", reason, upgrade, diff)
			}
		}
	}
	for row := range documented {
		if !used[row] {
			t.Errorf("no reason has the row %q", row)
		}
	}
}

type expiredVerifier struct{}

func (expiredVerifier) Verify(context.Context, string) (*token.Claims, error) {
	return nil, &token.Error{Kind: token.ErrExpired}
}

// TestSecurityPage checks that net/http behaves behind the guard as the page
// about security says, both for a plain request and for a handshake.
func TestSecurityPage(t *testing.T) {
	const host, handshake = "Host: a\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	const bothLengths = "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	sent := map[string]struct {
		plain   []string
		upgrade string
	}{
		"`Content-Length` and `Transfer-Encoding: chunked`": {
			plain:   []string{"POST / HTTP/1.1\r\n" + host + bothLengths},
			upgrade: "GET / HTTP/1.1\r\n" + host + handshake + bothLengths,
		},
		"two different `Content-Length`": {
			plain: []string{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
		},
		"`Transfer-Encoding` other than one `chunked`": {
			plain: []string{
				"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
				"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n",
			},
		},
		"lines that end in a bare LF": {
			plain: []string{"GET / HTTP/1.1\nHost: a\n\n"},
		},
		"a bare CR or NUL in a field": {
			plain: []string{"GET / HTTP/1.1\r\n" + host + "X: 1\r2\r\n\r\n", "GET / HTTP/1.1\r\n" + host + "X: 1\x002\r\n\r\n"},
		},
		"a field folded over two lines": {
			plain: []string{"GET / HTTP/1.1\r\n" + host + "X: 1\r\n 2\r\n\r\n"},
		},
		"a space before the colon": {
			plain: []string{"GET / HTTP/1.1\r\n" + host + "X : 1\r\n\r\n"},
		},
		"no `Host`, or two": {
			plain: []string{"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n" + host + "Host: b\r\n\r\n"},
		},
		"a target with a host of its own": {
			plain:   []string{"GET http://b/ HTTP/1.1\r\n" + host + "\r\n"},
			upgrade: "GET http://b/ HTTP/1.1\r\n" + host + handshake + "\r\n",
		},
	}
	guard, err := wsauth.New(wsauth.Config{Verifier: expiredVerifier{}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(guard.Require(wsauth.Optional)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()
	rows := tableRows(readDoc(t, "docs/security.md"), "| sent | net/http | the guard |")
	if len(rows) != len(sent) {
		t.Errorf("the page has %d rows, the test %d", len(rows), len(sent))
	}
	for _, row := range rows {
		request, ok := sent[row[1]]
		if !ok {
			t.Errorf("%s: not tested", row[1])
			continue
		}
		want, _, _ := strings.Cut(strings.Replace(row[2], "accepted", "200", 1), ":")
		want, _, closed := strings.Cut(want, ", closed")
		for _, plain := range request.plain {
			if status, hungUp := exchange(t, server, plain); status != want || hungUp != closed {
				t.Errorf("%q: %s, hung up: %v; the page says %q", plain, status, hungUp, row[2])
			}
		}
		if request.upgrade == "" {
			continue
		}
		if status, _ := exchange(t, server, request.upgrade); "a handshake: "+status != row[3] {
			t.Errorf("%s: handshake %s; the page says %q", row[1], status, row[3])
		}
	}
}

// exchange sends raw bytes and returns the status of the response, and whether
// the server closes the connection.
func exchange(t *testing.T, server *httptest.Server, request string) (status string, closes bool) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer answer.Body.Close()
	return strconv.Itoa(answer.StatusCode), answer.Close
}

// TestMigratingPage checks that every setting and function of fastapi-jwt-auth
// has a row, and that every Go name in those rows exists.
func TestMigratingPage(t *testing.T) {
	original := strings.Fields(`
		token_location secret_key public_key private_key algorithm decode_algorithms decode_leeway encode_issuer decode_issuer
		decode_audience denylist_enabled denylist_token_checks header_name header_type access_token_expires
		refresh_token_expires access_cookie_key refresh_cookie_key access_cookie_path refresh_cookie_path cookie_max_age
		cookie_domain cookie_secure cookie_samesite cookie_csrf_protect access_csrf_cookie_key refresh_csrf_cookie_key
		access_csrf_cookie_path refresh_csrf_cookie_path access_csrf_header_name refresh_csrf_header_name csrf_methods
		load_config create_access_token create_refresh_token jwt_required jwt_optional jwt_refresh_token_required
		fresh_jwt_required get_raw_jwt get_jti get_jwt_subject get_unverified_jwt_headers set_access_cookies
		set_refresh_cookies unset_jwt_cookies unset_access_cookies unset_refresh_cookies token_in_denylist_loader
		AuthJWTException`)
	var documented []string
	names := exported(t, ".", "token")
	code := regexp.MustCompile("`(wsauth|token)\\.([A-Za-z.]+)`")
	for _, row := range tableRows(readDoc(t, "docs/migrating.md"), "| fastapi-jwt-auth | wsauth | what to know |") {
		documented = append(documented, strings.Trim(row[1], "`"))
		if !code.MatchString(row[2]) {
			t.Errorf("%s: %q is no Go name", row[1], row[2])
		}
		for _, match := range code.FindAllStringSubmatch(strings.Join(row[2:], " "), -1) {
			if name := match[1] + "." + match[2]; !names[name] {
				t.Errorf("%s: there is no %s", row[1], name)
			}
		}
	}
	slices.Sort(original)
	slices.Sort(documented)
	if diff := gocmp.Diff(original, documented); diff != "" {
		t.Errorf("docs/migrating.md differs (- original, + page):\n%s", diff)
	}
}

// exported returns the names that the packages in these folders export:
// package.Name, and package.Type.Name for fields and methods.
func exported(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				for _, name := range declared(decl) {
					names[file.Name.Name+"."+name] = true
				}
			}
		}
	}
	return names
}

// declared returns the names that a declaration at the top level declares.
func declared(decl ast.Decl) (names []string) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			return []string{decl.Name.Name}
		}
		receiver := decl.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		switch generic := receiver.(type) {
		case *ast.IndexExpr:
			receiver = generic.X
		case *ast.IndexListExpr:
			receiver = generic.X
		}
		return []string{receiver.(*ast.Ident).Name + "." + decl.Name.Name}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names = append(names, name.Name)
				}
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
				var members []*ast.Field
				switch object := spec.Type.(type) {
				case *ast.StructType:
					members = object.Fields.List
				case *ast.InterfaceType:
					members = object.Methods.List
				}
				for _, field := range members {
					for _, name := range field.Names {
						names = append(names, spec.Name.Name+"."+name.Name)
					}
				}
			}
		}
	}
	return names
}

// TestProgramsInPages checks that the programs in pages compile.
func TestProgramsInPages(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	programs := regexp.MustCompile("(?s)```go\n(package main\n.*?)```")
	found := 0
	for _, page := range pages {
		for _, program := range programs.FindAllStringSubmatch(readDoc(t, page), -1) {
			found++
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(program[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", page, err, out)
			}
			if formatted, err := format.Source([]byte(program[1])); err != nil || string(formatted) != program[1] {
				t.Errorf("%s: the program is not formatted with gofmt (%v)", page, err)
			}
		}
	}
	if found == 0 {
		t.Error("no program found")
	}
}

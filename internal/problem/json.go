package problem

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// WriteJSON answers 200 with v, which must be of a type that always encodes.
// No cache may store the answer: it may contain tokens or personal data.
func WriteJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is one of the answers of this module
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// MaxBody is the maximum length in bytes of a body that ReadJSON reads.
const MaxBody = 64 << 10

// ReadJSON reads the body of r, one JSON object, into v. Names are compared
// exactly, duplicate and unknown names are errors, and strings must be valid
// UTF-8. ReadJSON returns nil, or the document to answer an invalid body with.
// The document contains no text from the request.
//
// members maps the JSON pointer of each member of v to the detail for a member
// of the wrong type: "/username": "username must be a string".
//
// Only application/json is accepted. Another site cannot make a browser send
// that without a preflight (the Fetch standard's "CORS-safelisted
// request-header").
func ReadJSON(w http.ResponseWriter, r *http.Request, v any, members map[jsontext.Pointer]string) *Document {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, hasCharset := params["charset"]
	if err != nil || mediaType != "application/json" || hasCharset && !strings.EqualFold(charset, "utf-8") {
		return &Document{Status: http.StatusUnsupportedMediaType, Detail: "Content-Type must be application/json", Reason: "invalid_request"}
	}
	err = json.UnmarshalRead(http.MaxBytesReader(w, r.Body, MaxBody), v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return &Document{Status: http.StatusRequestEntityTooLarge, Detail: "The body is longer than 64 KiB", Reason: "invalid_request"}
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return &Document{Status: http.StatusUnprocessableEntity, Detail: describe(semantic, members), Reason: "invalid_request"}
	}
	detail := "The body is not valid JSON"
	if errors.Is(err, jsontext.ErrDuplicateName) {
		detail = "The body has a name twice"
	}
	return &Document{Status: http.StatusBadRequest, Detail: detail, Reason: "invalid_request"}
}

// describe returns what is wrong with a body that is well-formed.
func describe(err *json.SemanticError, members map[jsontext.Pointer]string) string {
	if err.JSONPointer == "" {
		return "The body must be an object"
	}
	if text, ok := members[err.JSONPointer]; ok {
		return text
	}
	return "The body has a member that is not known here"
}

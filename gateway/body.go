package gateway

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxBody = 64 << 10 // bytes of a request body; more is 413

// readJSON reads the body of r, one JSON object, into v: names compared exactly, no name twice, none unknown, valid UTF-8. When it
// cannot, it answers with what is wrong, quoting nothing, and reports false.
//
// Only application/json is taken: a form of another site cannot send that without asking first (the Fetch standard's
// "CORS-safelisted request-header").
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, hasCharset := params["charset"]
	if err != nil || mediaType != "application/json" || hasCharset && !strings.EqualFold(charset, "utf-8") {
		problemHandler(http.StatusUnsupportedMediaType, "invalid_request", "Content-Type must be application/json")(w, r)
		return false
	}
	err = json.UnmarshalRead(http.MaxBytesReader(w, r.Body, maxBody), v, json.RejectUnknownMembers(true))
	if err == nil {
		return true
	}
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		problemHandler(http.StatusRequestEntityTooLarge, "invalid_request", "The body is longer than 64 KiB")(w, r)
		return false
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", describe(semantic))(w, r)
		return false
	}
	detail := "The body is not valid JSON"
	if errors.Is(err, jsontext.ErrDuplicateName) {
		detail = "The body has a name twice"
	}
	problemHandler(http.StatusBadRequest, "invalid_request", detail)(w, r)
	return false
}

// memberTypes are the members of the bodies that are read, and what each must be.
var memberTypes = map[jsontext.Pointer]string{
	"":          "The body must be an object",
	"/username": "username must be a string",
	"/password": "password must be a string",
	"/cookies":  "cookies must be true or false",
	"/path":     "path must be a string",

	"/token":      "token must be a string",
	"/session":    "session must be a string",
	"/user":       "user must be a string",
	"/everything": "everything must be true",
	"/before":     "before must be a string",
	"/within":     "within must be a whole number of seconds",
	"/confirm":    "confirm must be true or false",
}

// describe says what is wrong with JSON that is well-formed.
func describe(err *json.SemanticError) string {
	if text, ok := memberTypes[err.JSONPointer]; ok {
		return text
	}
	return "The body has a member that is not known here"
}

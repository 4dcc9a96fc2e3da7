package gateway

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// readJSON reads the body of r into v. If the body is invalid, readJSON
// answers r and returns false; see [problem.ReadJSON].
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if fault := problem.ReadJSON(w, r, v, adminMembers); fault != nil {
		telemetry.AnswerProblem(w, r, *fault)
		return false
	}
	return true
}

// adminMembers describes the members of the API's request bodies, for error
// messages.
var adminMembers = map[jsontext.Pointer]string{
	"/token":      "token must be a string",
	"/session":    "session must be a string",
	"/user":       "user must be a string",
	"/everything": "everything must be true",
	"/before":     "before must be a string",
	"/within":     "within must be a whole number of seconds",
	"/confirm":    "confirm must be true or false",
}

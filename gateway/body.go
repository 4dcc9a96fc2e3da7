package gateway

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/problem"
)

// readJSON reads the body of r into v. If it cannot, it answers r and reports
// false; see [problem.ReadJSON].
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if fault := problem.ReadJSON(w, r, v, adminMembers); fault != nil {
		answerProblem(w, r, *fault)
		return false
	}
	return true
}

// adminMembers describes the members of the bodies that operators send.
var adminMembers = map[jsontext.Pointer]string{
	"/token":      "token must be a string",
	"/session":    "session must be a string",
	"/user":       "user must be a string",
	"/everything": "everything must be true",
	"/before":     "before must be a string",
	"/within":     "within must be a whole number of seconds",
	"/confirm":    "confirm must be true or false",
}

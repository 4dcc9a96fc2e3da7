package web

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// A fault describes one error in a request body.
type fault struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

const maxBody = 64 << 10

// Strings returns the named members of a JSON body, which must be strings. If
// the body is invalid, it responds with all errors at once and returns false.
func Strings(w http.ResponseWriter, r *http.Request, names ...string) ([]string, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || !utf8.Valid(body) {
		Detail(w, http.StatusBadRequest, "There was an error parsing the body")
		return nil, false
	}
	values, faults := members(body, r.Header.Get("Content-Type"), names)
	if len(faults) > 0 {
		Detail(w, http.StatusUnprocessableEntity, faults)
		return nil, false
	}
	return values, true
}

func members(body []byte, contentType string, names []string) (values []string, faults []fault) {
	if len(body) == 0 {
		return nil, []fault{{[]string{"body"}, "field required", "value_error.missing"}}
	}
	if contentType != "" && !isJSON(contentType) {
		return nil, []fault{{[]string{"body"}, "value is not a valid dict", "type_error.dict"}}
	}
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		if json.Valid(body) {
			return nil, []fault{{[]string{"body"}, "value is not a valid dict", "type_error.dict"}}
		}
		return nil, []fault{{[]string{"body"}, "the body is not JSON", "value_error.jsondecode"}}
	}
	for _, name := range names {
		value, given := object[name]
		text, isText := value.(string)
		switch {
		case !given:
			faults = append(faults, fault{[]string{"body", name}, "field required", "value_error.missing"})
		case !isText:
			faults = append(faults, fault{[]string{"body", name}, "str type expected", "type_error.str"})
		}
		values = append(values, text)
	}
	return values, faults
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

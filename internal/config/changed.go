package config

import "reflect"

// hot lists the keys that a running server applies when the file changes,
// without a restart.
var hot = map[string]bool{"routes": true, "log.level": true}

// NeedRestart returns the keys that differ and require a restart of the
// server.
func NeedRestart(running, next Settings) []string {
	keys := differing("", reflect.ValueOf(running), reflect.ValueOf(next))
	// With no routes, the server is the demonstration.
	if (len(running.Routes) == 0) != (len(next.Routes) == 0) {
		keys = append(keys, "routes")
	}
	return keys
}

func differing(prefix string, a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		key := prefix + a.Type().Field(i).Tag.Get("yaml")
		switch {
		case hot[key] || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
		case a.Field(i).Kind() == reflect.Struct:
			keys = append(keys, differing(key+".", a.Field(i), b.Field(i))...)
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

package config

import "slices"

// pending are keys that nothing acts on yet. A server that took them would seem to do what it does not, such as an admin socket: they are refused
// unless they say what is the case anyway.
var pending = []string{"admin.socket", "admin.listen", "admin.token_file"}

func (w *work) pending() {
	for _, key := range NeedRestart(Default(), w.Settings) {
		if slices.Contains(pending, key) {
			w.report(key, "this version does not serve it yet: remove the key")
		}
	}
}

package server_test

import "testing"

// Who names the wrong one is told which to name.
func TestReportsSayWhomToName(t *testing.T) {
	n, _, _, _, hr := reporting(t)
	for body, want := range map[string]string{
		`{"type":"client_compromised"}`:                                   "client_compromised is about a client: name it by client_id, and nothing beside it",
		`{"type":"client_compromised","sub":"u-alice"}`:                   "client_compromised is about a client: name it by client_id, and nothing beside it (here are sub)",
		`{"type":"client_compromised","sub":"u-alice","client_id":"app"}`: "client_compromised is about a client: name it by client_id, and nothing beside it (here are sub, client_id)",
		`{"type":"logout"}`:                                               "say which user it is about, by exactly one of sub, username and sid; client_id is for client_compromised",
		`{"type":"logout","client_id":"app"}`:                             "say which user it is about, by exactly one of sub, username and sid (here are client_id); client_id is for client_compromised",
		`{"type":"logout","sub":"a","sid":"b"}`:                           "say which user it is about, by exactly one of sub, username and sid (here are sub, sid); client_id is for client_compromised",
	} {
		a := n.report(hr, body)
		if a.want(t, 400, "invalid_request"); a.str("error_description") != want {
			t.Errorf("%s: %s", body, a.str("error_description"))
		}
	}
}

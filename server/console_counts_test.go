package server_test

import (
	"fmt"
	"strings"
	"testing"

	"jeton/grants"
	"jeton/keys"
	"jeton/storage"
)

// ended adds sessions that are over, whose ids begin with first, straight to the
// store.
func (n *node) ended(sub, first string, count int) {
	n.t.Helper()
	now := n.clock.Now()
	for from := 0; from < count; from += 500 {
		var puts []storage.Put
		for i := from; i < min(from+500, count); i++ {
			s := storage.Session{ID: fmt.Sprintf("%s%06d", first, i), Subject: sub, ClientID: "app", Created: now, End: now.Add(storage.Day), Ended: &storage.Ended{At: now, Reason: storage.ReasonLogout}}
			puts = append(puts, storage.Put{Key: storage.SessionKey(s.ID), Value: storage.Encode(s), Index: []storage.Entry{
				{Name: storage.IndexSessions, Sort: s.ID}, {Name: storage.IndexClientSessions("app"), Sort: s.ID},
			}})
		}
		_, err := n.store.Commit(n.t.Context(), storage.Change{Partition: storage.UserPartition(sub), Puts: puts})
		must(n.t, err)
	}
}

// A count that was cut short says how far it goes, and "more than 0" of nothing.
func TestCountsThatAreCutShortSayHowFarTheyGo(t *testing.T) {
	b := console(t, options{alg: "ES256"})
	b.node.login()
	of := "/console/act?act=remove-key&kid=" + b.ring(keys.UseRefresh)[keys.Current]
	looked := "<dt>Looked at</dt><dd>the first 2000 sessions, ended ones too"
	paths := []string{of, "/console/act?act=revoke&client=app", "/console/act?act=revoke&all=true"}
	tells := func(parts ...string) {
		t.Helper()
		for _, path := range paths {
			body := string(b.page(path).body)
			if b.tells(body, parts...); strings.Contains(body, "more than") || strings.Contains(body, "at least 0") {
				t.Errorf("%s: %s", path, body)
			}
		}
	}
	b.ended("u-alice", "~a", grants.MostPreviewed-1) // after the live one
	tells("<dd>1 ")
	if strings.Contains(string(b.page(of).body), looked) {
		t.Error("all were looked at")
	}
	b.ended("u-alice", "~b", 1)
	tells("<dd>at least 1 ", looked)
	b.ended("u-bob", "!", grants.MostPreviewed) // before it
	tells("<dd>none among those looked at</dd>", looked)
	b.tells(string(b.page("/console/act?act=revoke&client=spa").body), "<dt>Sessions</dt><dd>0 live sessions</dd>")
	if a := b.operator("POST", "/preview", `{"act":"revoke","all":true}`).ok(t, 200); a.json["more"] != true || a.json["sessions"] != 0.0 {
		t.Errorf("%s", a.body)
	}
}

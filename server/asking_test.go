package server_test

import (
	"fmt"
	"testing"
)

// Whoever asks for links holds up no sign-in, at any address, and however a name
// is typed it is one name.
func TestN10_AskingHoldsUpNoSignIn(t *testing.T) {
	n, _ := mailed(t, options{throttle: true})
	signIn := form("grant_type", "password", "client_id", "spa", "username", "alice", "password", password)
	wrong := form("grant_type", "password", "client_id", "spa", "username", "alice", "password", "wrong")
	for i := range 30 {
		if a := n.forget(fmt.Sprint("nobody", i)); a.title() != "Look into your mail" {
			t.Fatalf("%d: %d %s", i, a.StatusCode, a.body)
		}
	}
	if a := n.forget("nobody-else"); a.StatusCode != 429 {
		t.Errorf("the thirty-first at one address: %d", a.StatusCode)
	}
	n.post("/token", wrong).want(t, 400, "invalid_grant") // from where she never was
	n.post("/token", signIn).ok(t, 200)

	n, post := mailed(t, options{throttle: true})
	for i, name := range []string{"alice", "ALICE", " Alice", "aLICE ", "alicE"} {
		if a := n.forget(name); a.title() != "Look into your mail" {
			t.Fatalf("%d: %d", i, a.StatusCode)
		}
	}
	if a := n.forget("AliCe"); a.StatusCode != 429 {
		t.Errorf("a sixth spelling: %d", a.StatusCode)
	}
	post.Next(t)
	post.None(t)
}

package dpop

import (
	"strings"
	"testing"
	"time"
)

// FuzzProof feeds what strangers send. Nothing of it has a signature that is
// right, so nothing may pass, and nothing may panic.
func FuzzProof(f *testing.F) {
	f.Add("")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjpudWxsfQ.e30.AAAA")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2In0.e30.AAAA")
	f.Add(strings.Repeat("A", 20<<10))
	f.Fuzz(func(t *testing.T, header string) {
		c := Checker{}
		if p, err := c.Check([]string{header}, "POST", "https://auth.example/token", time.Unix(1780000000, 0)); err == nil || p != nil {
			t.Errorf("%q was taken", header)
		}
	})
}

func TestSameAddress(t *testing.T) {
	const own = "https://auth.example/tenant/token"
	for htu, want := range map[string]bool{
		own: true, own + "?a#b": true, "HTTPS://AUTH.example:443/tenant/token": true, "https://auth.example/tenant/%74oken": true,
		"": false, "https://auth.example": false, own + "/": false, "http://auth.example/tenant/token": false, "https://auth.example:8443/tenant/token": false,
		"https://auth.example/tenant%2ftoken": false, "https://auth.example/tenant/../tenant/token": false, "//auth.example/tenant/token": false, "https:auth.example/tenant/token": false,
	} {
		if sameAddress(htu, own) != want {
			t.Errorf("%q: %t", htu, !want)
		}
	}
}

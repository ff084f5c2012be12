package interop

import "testing"

// Libraries of others register a client and sign in with it, by initial access
// tokens and openly.
func TestNodeRegistration(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	for _, mode := range []string{"token", "open"} {
		t.Run(mode, func(t *testing.T) {
			s := newServer(t, "JETON_CLIENT_REGISTRATION="+mode)
			s.runNode(t, "registration.test.mjs", "INTEROP_REGISTRATION="+mode)
		})
	}
}

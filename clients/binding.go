package clients

import (
	"strings"

	"jeton/storage"
)

// What of a user agent or an address is compared.
const (
	CompareOff    = "off"
	CompareFamily = "family" // browser and system, without versions
	ComparePrefix = "prefix" // /24 or /48
	CompareExact  = "exact"
)

// What follows from a difference, the mildest first.
const (
	Observe = "observe" // it is written down
	StepUp  = "step_up" // refused: the user has to log in anew
	Enforce = "enforce" // refused like any bad token; the session lives
	End     = "end"     // refused, and the session ends
)

// Binding says what is compared when a session is refreshed, and what follows
// from a difference.
type Binding struct{ Compare, Action string }

// AgentBinding and AddressBinding are a client's. Those of which nothing is said
// are observed where they are public: a backend refreshes from its own address,
// whoever its users are.
func AgentBinding(c storage.Client) Binding   { return bindingOf(c, c.BindAgent, CompareFamily) }
func AddressBinding(c storage.Client) Binding { return bindingOf(c, c.BindAddress, ComparePrefix) }

func bindingOf(c storage.Client, said, usual string) Binding {
	switch {
	case said == "" && c.Public():
		return Binding{usual, Observe}
	case said == "":
		return Binding{CompareOff, Observe}
	}
	compare, action, found := strings.Cut(said, ":")
	if !found {
		action = Observe
	}
	return Binding{compare, action}
}

func checkBinding(c storage.Client, wrong *faults) {
	for _, b := range []struct{ member, said, loose string }{
		{"bind_agent", c.BindAgent, CompareFamily}, {"bind_address", c.BindAddress, ComparePrefix},
	} {
		compare, action, found := strings.Cut(b.said, ":")
		known := action == Observe || action == StepUp || action == Enforce || action == End
		switch {
		case b.said == "", b.said == CompareOff:
		case (compare == b.loose || compare == CompareExact) && (known || !found):
		default:
			wrong.add("%s: %q is not %s, or %s or %s with :%s, :%s, :%s or :%s after it", b.member, b.said, CompareOff, b.loose, CompareExact, Observe, StepUp, Enforce, End)
		}
	}
}

package server

import (
	"jeton/keys"
	"jeton/pages"
)

// consoleKeys shows the key ring.
func (s *Server) consoleKeys(o *operation) error {
	t := &pages.Table{Caption: "Keys", Columns: []string{"kid", "Use", "Algorithm", "State", "Age", "Signs from", "Leaves the ring"}}
	for _, k := range s.grants.Keys.List(o.in.Now) {
		signs := pages.Cell{Time: pages.At(k.Activates)}
		if k.Activates.IsZero() {
			signs = pages.Cell{Words: "once the current one is replaced"}
		} else if k.Gated {
			signs.Words = "once all verifiers have it, at the latest "
		}
		t.Rows = append(t.Rows, []pages.Cell{
			{Words: k.KeyID, Code: true}, {Words: keyUse(k.Use)}, {Words: k.Alg}, {Badges: []pages.Badge{keyBadge(k.State)}},
			{Words: since(o.in.Now, k.Created)}, signs, {Time: pages.At(k.Removes)},
		})
	}
	return o.show(200, pages.Sheet{
		Frame: o.frame("/keys"), Title: "Keys",
		Lead:  "Keys are replaced by themselves. A key that was given away is replaced at once by jeton key rotate --now, on the machine itself.",
		Cards: []pages.Card{{Table: t}},
	})
}

func keyUse(use string) string {
	switch use {
	case keys.UseSig:
		return "access tokens"
	case keys.UseStatus:
		return "status lists"
	case keys.UseRefresh:
		return "refresh tokens"
	}
	return use
}

func keyBadge(state keys.State) pages.Badge {
	if string(state) == "current" {
		return pages.Badge{Kind: "good", Words: string(state)}
	}
	return pages.Badge{Words: string(state)}
}

package server

import (
	"net/url"
	"slices"

	"jeton/keys"
	"jeton/pages"
)

// consoleKeys shows the key ring.
func (s *Server) consoleKeys(o *operation) error {
	t := &pages.Table{Caption: "Keys", Columns: []string{"kid", "Use", "Algorithm", "State", "Age", "Signs from", "Leaves the ring", "Act"}}
	for _, k := range s.grants.Keys.List(o.in.Now) {
		signs := pages.Cell{Time: pages.At(k.Activates)}
		if k.Activates.IsZero() {
			signs = pages.Cell{Words: "once the current one is replaced"}
		} else if k.Gated {
			signs.Words = "once all verifiers have it, at the latest "
		}
		remove := o.link("Remove", "remove-key", "kid", k.KeyID)
		t.Rows = append(t.Rows, []pages.Cell{
			{Words: shortID(k.KeyID), Whole: k.KeyID}, {Words: keyUse(k.Use)}, {Words: k.Alg}, {Badges: []pages.Badge{keyBadge(k.State)}},
			{Words: since(o.in.Now, k.Created)}, signs, {Time: pages.At(k.Removes)}, {Words: remove.Words, Href: remove.Href},
		})
	}
	return o.show(200, pages.Sheet{
		Frame: o.frame("/keys"), Title: "Keys",
		Lead: "Keys are replaced by themselves. Rotate at once, and then remove the old one, when a key may be in other hands.",
		Cards: []pages.Card{{Table: t}, {
			Title: "What to do", Words: "You see what comes of it before it is done.", Links: []pages.Link{o.link("Rotate the signing key", "rotate-key")},
		}},
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

// rotateDeed has the next signing key take over. A form of before another rotation
// does nothing: of two that rotate at once, each would replace the other's key.
func (o *operation) rotateDeed() (deed, error) {
	d := deed{title: "Rotate the signing key", button: "Rotate", wantsReason: true, then: "/keys"}
	d.words = []string{
		"The next key, which stands in the key set already, takes over. Tokens that are out there stay good: the key of before stays in the key set until the last of them is dead. No session ends.",
	}
	all := o.s.grants.Keys.List(o.in.Now)
	for _, k := range all {
		if k.Use != keys.UseSig || k.State == keys.Retired {
			continue
		}
		switch {
		case k.State == keys.Current:
			d.counts = append(d.counts, pages.Fact{Name: "Signs now", Value: k.KeyID, Code: true}, pages.Fact{Name: "Since", Time: pages.At(k.Activates)})
		case k.Activates.IsZero():
			d.counts = append(d.counts, pages.Fact{Name: "Would take over", Value: k.KeyID, Code: true}, pages.Fact{Name: "Published", Time: pages.At(k.Published)})
		default:
			d.words = append(d.words, "A rotation is under way already: it can only be brought forward.")
			d.counts = append(d.counts, pages.Fact{Name: "Takes over", Value: k.KeyID, Code: true}, pages.Fact{Name: "From", Time: pages.At(k.Activates)})
		}
	}
	d.choice = &pages.Choice{
		Name: "when", Label: "It takes over", Hint: "At once is for a key that may be in other hands: APIs that have not fetched the next one may refuse new tokens for up to 5 minutes.",
		Options: []pages.Option{{Value: "known", Words: "once every API can know it"}, {Value: "now", Words: "at once"}},
	}
	d.seen = keys.Line(all, keys.UseSig)
	d.run = func(c *call, f form) (url.Values, error) {
		when := f.get("when")
		if when != "known" && when != "now" {
			return nil, badBody("say when the next key takes over")
		}
		_, err := o.s.admin.rotate(c, when == "now", d.seen)
		return url.Values{"done": {"rotated"}}, err
	}
	return d, nil
}

// removeKeyDeed takes a key out of the ring.
func (o *operation) removeKeyDeed() (deed, error) {
	kid := o.sent.Get("kid")
	list := o.s.grants.Keys.List(o.in.Now)
	i := slices.IndexFunc(list, func(k keys.Info) bool { return k.KeyID == kid })
	if i < 0 {
		return deed{}, keys.ErrUnknownKey
	}
	k := list[i]
	d := deed{
		title: "Remove the key " + shortID(kid), button: "Remove it", wantsReason: true, danger: true, then: "/keys",
		counts: []pages.Fact{{Name: "kid", Value: kid, Code: true}, {Name: "Signs", Value: keyUse(k.Use)}, {Name: "It is", Value: string(k.State)}},
		seen:   string(k.State),
	}
	d.words = []string{"For a key that others may have: all that it signed is worthless from then on. It cannot be undone."}
	if k.State == keys.Current {
		d.words = append(d.words, "The next key signs at once in its place.")
	}
	under, err := o.s.grants.PreviewKey(o.ctx, kid)
	if err != nil {
		return d, err
	}
	n := counted(under.Sessions, "session", under.More)
	switch k.Use {
	case keys.UseSig:
		d.words = append(d.words, "Access tokens under it are refused here at once, and by APIs within 5 minutes. Sessions go on: the next refresh gives a token under another key.")
		d.counts = append(d.counts, pages.Fact{Name: "Sessions whose access token is under it", Value: n})
	case keys.UseRefresh:
		d.words = append(d.words, "Sessions whose refresh token is under it cannot be refreshed any more, and their users log in again. Their access tokens live out: end all sessions of everyone to end those too.")
		d.counts = append(d.counts, pages.Fact{Name: "Sessions that cannot go on", Value: n})
	default:
		d.words = append(d.words, "The status lists are signed with another key at once.")
		under.More = false // no session hangs on it
	}
	d.counts = append(d.counts, lookedAt(under.More)...)
	d.run = func(c *call, _ form) (url.Values, error) {
		_, _, err := o.s.admin.remove(c, kid, k.State)
		return url.Values{"done": {"removed"}}, err
	}
	return d, nil
}

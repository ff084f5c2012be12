package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"jeton/events"
	"jeton/pages"
	"jeton/storage"
)

// mostTold is how many entries the activity has, mostRead how many events are
// looked at for them, and together how close those have to be that make one:
// all sessions that end at once would push out everything else.
const (
	mostTold = 50
	mostRead = 500
	together = time.Minute
)

// activity shows what has happened to the account, the latest first.
func (s *Server) activity(o *own) {
	page := pages.Activity{
		Frame: s.accountFrame(o), Lead: "What has happened to your account lately. Is there something that was not you? Change your password.",
		Empty: pages.Empty{Title: "Nothing yet", Words: "Sign-ins, applications and changes of the password stand here soon after they happen."},
	}
	if s.cfg.History.Kept <= 0 {
		page.Empty = pages.Empty{Title: "Nothing is kept", Words: "Those who run this service have it keep no record to show here."}
	}
	entries, err := s.entries(o)
	for i := 0; i < len(entries) && err == nil; i++ {
		var name string
		name, err = s.nameOfClient(o.r.Context(), entries[i].ClientID)
		page.Rows = append(page.Rows, entries[i].row(name))
	}
	if err != nil {
		s.refuseOwn(o.w, o.r, err)
		return
	}
	s.writeOwn(o.w, http.StatusOK, page.HTML())
}

// entry is an event, or several alike that came together.
type entry struct {
	storage.Event
	count int
}

func (s *Server) entries(o *own) (list []entry, err error) {
	if s.cfg.History.Kept <= 0 {
		return nil, nil
	}
	after := ""
	for read := 0; read < mostRead; {
		var found []storage.Event
		found, after, err = s.cfg.History.List(o.r.Context(), events.About{Subject: o.in.User.Value.Subject}, after, 100)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if slices.Contains(told, e.Type) {
				list = addTo(list, e)
			}
		}
		if read += 100; after == "" || len(list) > mostTold {
			break
		}
	}
	return list[:min(len(list), mostTold)], nil
}

// addTo adds an older event to the entries, or to the one that is like it.
func addTo(list []entry, e storage.Event) []entry {
	for i := len(list) - 1; i >= 0 && list[i].Time.Sub(e.Time) <= together; i-- {
		if l := list[i]; l.Type == e.Type && l.ClientID == e.ClientID && l.Actor == e.Actor && l.Reason == e.Reason && networkIn(l.Event) == networkIn(e) {
			list[i].count++
			return list
		}
	}
	return append(list, entry{e, 1})
}

// networkIn is where an act of the user's own came from, or whoever asked for a
// mail; those of operators and applications are not the user's to know.
func networkIn(e storage.Event) string {
	addr, err := netip.ParseAddr(e.Source)
	if err != nil || e.Actor != e.Subject && !(e.Type == events.ResetLinkMade && e.Actor == "server") {
		return ""
	}
	return storage.NetworkOf(addr)
}

func (e entry) row(client string) pages.Row {
	line := []pages.Part{{Time: pages.At(e.Time)}}
	if network := networkIn(e.Event); network != "" {
		line = append(line, pages.Part{Words: "from " + network})
	}
	row := pages.Row{Title: eventWords(e.Event, client), Lines: [][]pages.Part{line}}
	if e.count > 1 {
		row.Badge = &pages.Badge{Words: strconv.Itoa(e.count) + " times"}
	}
	return row
}

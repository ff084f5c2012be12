package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"jeton/storage"
)

func TestIDsSortByTimeThenMaking(t *testing.T) {
	now := newClock().now()
	var ids []string
	for n := range 1000 {
		ids = append(ids, New(SessionEnded, now.Add(time.Duration(n/100)*time.Nanosecond)).ID)
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("ids do not sort as the events were made")
	}
	if later := New(SessionEnded, now.Add(time.Hour)); later.ID <= ids[len(ids)-1] || later.Time != now.Add(time.Hour) {
		t.Errorf("%+v does not sort behind what was before it", later)
	}
}

func TestEventsDoNotWaitForEver(t *testing.T) {
	s, c := open(t)
	p, _ := publisher(s, map[string]*heard{"bad": {refuse: all}})
	emit(t, s, c.now(), "u")
	step(t, p) // to the queue
	emit(t, s, c.now(), "u")
	c.advance(Kept - time.Second)
	if n := left(t, s, queueOf("bad")); n != 2 {
		t.Errorf("%d of 2 events are there before their time", n)
	}
	c.advance(2 * time.Second)
	if n := left(t, s, queueOf("bad")); n != 0 {
		t.Errorf("%d events are kept for ever", n)
	}
}

func TestAuditWritesOneLine(t *testing.T) {
	var out bytes.Buffer
	audit := Audit(slog.NewJSONHandler(&out, nil))
	e := storage.Event{
		ID: "1", Type: SessionEnded, Time: newClock().now(), Subject: "alice", Session: "sid1", ClientID: "web",
		Actor: "client:web", Reason: storage.ReasonReuse, Note: "line\nbreak \"quoted\"", Source: "192.0.2.7",
	}
	for _, e := range []storage.Event{e, {ID: "2", Type: KeyRotated, Time: e.Time}} {
		if err := audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if len(lines) != 2 {
		t.Fatalf("%d lines for two events:\n%s", len(lines), &out)
	}
	want := []map[string]string{
		{"time": "2026-11-22T09:00:00Z", "level": "INFO", "msg": SessionEnded, "event": "1", "sub": "alice", "client_id": "web", "sid": "sid1",
			"actor": "client:web", "reason": "reuse", "note": "line\nbreak \"quoted\"", "source": "192.0.2.7"},
		{"time": "2026-11-22T09:00:00Z", "level": "INFO", "msg": KeyRotated, "event": "2"},
	}
	for i, line := range lines {
		var got map[string]string
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want[i]) {
			t.Errorf("line %d has the fields %v, want %v", i, got, want[i])
		}
		for k, v := range want[i] {
			if got[k] != v {
				t.Errorf("%s is %q, want %q", k, got[k], v)
			}
		}
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestAuditReportsWhatItCouldNotWrite(t *testing.T) {
	audit := Audit(slog.NewJSONHandler(fullDisk{}, nil))
	if err := audit(t.Context(), New(SessionEnded, newClock().now())); !errors.Is(err, errFull) {
		t.Errorf("the event would be lost: %v", err)
	}
}

// Types names what the constants name, so that a webhook can ask for any.
func TestTypesAreAll(t *testing.T) {
	source, err := os.ReadFile("events.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, m := range regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, m[1])
	}
	listed := Types()
	slices.Sort(declared)
	slices.Sort(listed)
	if !slices.Equal(declared, listed) {
		t.Errorf("events.go declares %q, types.go lists %q", declared, listed)
	}
}

// What follows from an event is written once, with its leaving the outbox,
// whether or not a subscriber has taken it.
func TestFollowingRowsAreWrittenOnce(t *testing.T) {
	s, c := open(t)
	h := &heard{refuse: all}
	p, _ := publisher(s, map[string]*heard{"h": h})
	p.Follow(func(e storage.Event) []storage.Put {
		return []storage.Put{{Key: storage.Key{Kind: "x", ID: e.ID}, Value: []byte(e.Type), Index: []storage.Entry{{Name: "x", Sort: e.ID}}}}
	})
	made := 0
	for range 3 {
		emit(t, s, c.now(), "u")
		step(t, p)
		c.advance(maxDelay)
		if made++; left(t, s, "x")-left(t, s) != made {
			t.Fatalf("%d rows follow from %d events", left(t, s, "x"), made)
		}
	}
	page, err := s.List(t.Context(), storage.Query{Index: "x", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	row := page.Rows[0]
	if _, err := s.Commit(t.Context(), storage.Change{Partition: row.Partition, Deletes: []storage.Key{row.Key}}); err != nil {
		t.Fatal(err)
	}
	h.refuse = nil
	for range 3 {
		c.advance(maxDelay)
		step(t, p)
	}
	if n := left(t, s, "x", queueOf("h")); n != made-1 {
		t.Errorf("%d rows are left of %d: one came back", n, made-1)
	}
}

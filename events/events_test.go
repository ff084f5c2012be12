package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
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

package proof_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
)

// raceKeys are the keys of races on a Redis, each of which has to go by itself
// within an hour.
func raceKeys(t *testing.T, server *redistest.Server) []any {
	t.Helper()
	keys, _ := server.Do("keys", "jeton:race-*").([]any)
	for _, key := range keys {
		if left := server.Do("pttl", key).(int64); left == -1 || left > time.Hour.Milliseconds() {
			t.Errorf("%q has %d ms left", key, left)
		}
	}
	return keys
}

// TestARaceThatIsKilled: what it has written goes by itself.
func TestARaceThatIsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := &place{t: t, dir: t.TempDir(), address: "redis://" + server.Addr, env: []string{"JETON_REDIS_PREFIX=jeton"}}
	cmd := p.command("store", "check", "--race", "--for", "2m", "--store", p.address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, "somebody has logged in", func() bool {
		sessions, _ := server.Do("keys", "jeton:race-*:r:*session*").([]any)
		return len(sessions) > 0 && server.Do("dbsize").(int64) >= 100
	})
	cmd.Process.Kill()
	_ = cmd.Wait()
	if left := raceKeys(t, server); len(left) < 100 {
		t.Errorf("%d keys are left: it was not killed in the course of it", len(left))
	}
}

// TestARaceWithoutRoom is refused, or stopped, where it could fill a Redis in
// which something else is.
func TestARaceWithoutRoom(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("setrange", "other", 100<<20, "x")
	full := func() {
		used := regexp.MustCompile(`\bused_memory:(\d+)`).FindStringSubmatch(server.Do("info", "memory").(string))
		n, _ := strconv.Atoi(used[1])
		server.Do("config", "set", "maxmemory", n/92*100)
	}
	p := &place{t: t, dir: t.TempDir(), address: "redis://" + server.Addr, env: []string{"JETON_REDIS_PREFIX=jeton"}}
	race := func(beside func()) (said string) {
		cmd := p.command("store", "check", "--race", "--for", "2m", "--store", p.address)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		beside()
		if cmd.Wait() == nil {
			t.Error("it was run to its end")
		}
		return out.String()
	}
	said := race(func() {
		redistest.Until(t, "somebody has logged in", func() bool {
			sessions, _ := server.Do("keys", "jeton:race-*:r:*session*").([]any)
			return len(sessions) > 0
		})
		full()
	})
	if !strings.Contains(said, "it was stopped so that what else is in this Redis does not suffer") || !strings.Contains(said, "% of maxmemory") {
		t.Errorf("filled in the course of it: %s", said)
	}
	if left := raceKeys(t, server); len(left) > 0 && !strings.Contains(said, "what is left of the race has keys that begin with jeton:race-") {
		t.Errorf("%d keys are left, and nobody is told: %s", len(left), said)
	}
	before := server.Do("dbsize")
	full()
	said = race(func() {})
	if !strings.Contains(said, "raise maxmemory or make room") || server.Do("dbsize") != before {
		t.Errorf("full before: %s", said)
	}
	server.Do("config", "set", "maxmemory", 0)
	server.Do("config", "set", "maxmemory-policy", "allkeys-lru")
	said = race(func() {})
	if !strings.Contains(said, "--redis-allow-eviction") || server.Do("dbsize") != before {
		t.Errorf("evicting: %s", said)
	}
}

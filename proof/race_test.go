package proof_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jeton/storage/redis/redistest"
)

// TestRacingBesideAStore has the command race on a Redis with a store in it, as a
// user of Redis that may touch no key of that store: so it does not, and nothing
// is left of the race.
func TestRacingBesideAStore(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "OPERATING.md"))
	if err != nil {
		t.Fatal(err)
	}
	acl := regexp.MustCompile("`(\\+@connection [^`]+)`").FindSubmatch(doc)
	if acl == nil {
		t.Fatal("OPERATING.md does not say what the user of Redis needs")
	}
	server := redistest.Start(t)
	const redisPassword = "sesame-of-the-racer"
	args := []any{"acl", "setuser", "racer", "on", ">" + redisPassword}
	for word := range strings.FieldsSeq(strings.Replace(string(acl[1]), "~jeton:*", "~jeton:race-*", 1)) {
		args = append(args, word)
	}
	server.Do(args...)
	p := &place{t: t, dir: t.TempDir(), address: "redis://" + server.Addr, env: []string{"JETON_REDIS_PREFIX=jeton"}}
	p.fill(1)
	n := p.start()
	a := n.login("strict", "user0")
	said := p.run("", "store", "check", "--race", "--for", "3s", "--store", "redis://racer:"+redisPassword+"@"+server.Addr)
	if !strings.Contains(said, "keeps its promises") || strings.Contains(said, "sesame") {
		t.Errorf("%s", said)
	}
	if left, _ := server.Do("keys", "jeton:race-*").([]any); len(left) > 0 {
		t.Errorf("%d keys are left, such as %q", len(left), left[0])
	}
	n.goesOn(a.Token)
}

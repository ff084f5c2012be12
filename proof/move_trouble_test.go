package proof_test

import (
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jeton/storage/redis/redistest"
	"jeton/storage/sqlite"
)

func newMoving(t *testing.T) (*moving, *redistest.Proxy) {
	t.Helper()
	proxy := redistest.Between(t, redistest.Start(t).Addr)
	m := &moving{redis: "redis://" + proxy.Addr}
	m.place = &place{t: t, dir: t.TempDir(), env: []string{
		"JETON_MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "JETON_REDIS_PREFIX=trouble"}}
	m.address = "sqlite:" + filepath.Join(m.dir, "jeton.db")
	m.fill(1)
	return m, proxy
}

// TestOneCopyAtATime: a copy that stands still must not go on beside another one,
// or after it.
func TestOneCopyAtATime(t *testing.T) {
	m, proxy := newMoving(t)
	proxy.Delay(time.Second) // so that it is under way for seconds
	still := m.copyCommand(m.address, m.redis)
	if err := still.Start(); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(m.dir, "store-copy.journal.lock")
	redistest.Until(t, "the copy is under way", func() bool { _, err := os.Stat(lock); return err == nil })
	still.Process.Signal(syscall.SIGSTOP)
	proxy.Delay(0)
	m.refused("another jeton store copy runs", m.address, m.redis, "--finish")
	still.Process.Kill()
	still.Wait()
	m.copy(0, m.address, m.redis, "--finish")
	m.address = m.redis
	if a := m.start().login("strict", "user0"); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

// TestNobodyServesWhatIsBeingFilled: the target of a copy that was killed is not
// begun as a store of its own.
func TestNobodyServesWhatIsBeingFilled(t *testing.T) {
	m, _ := newMoving(t)
	m.copy(0, m.address, m.redis, "--finish")
	back := "sqlite:" + filepath.Join(m.dir, "back", "jeton.db") // in a directory that is not there
	m.copy(0, m.redis, back)
	m.notYet(back, "is being filled by jeton store copy")
	m.copy(0, m.redis, back, "--finish")
	m.address = back
	if a := m.start().login("strict", "user0"); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

// TestACopyThatWasKilledAtTheSwitchGoesOn: the old store has its other name, and the
// new one is not open yet.
func TestACopyThatWasKilledAtTheSwitchGoesOn(t *testing.T) {
	m, _ := newMoving(t)
	first := m.address
	n := m.start()
	token := n.login("strict", "user0").Token
	n.kill()
	m.copy(0, first, m.redis)
	file := strings.TrimPrefix(first, "sqlite:")
	kept := file + ".moved-20261122T180300Z"
	if err := errors.Join(sqlite.Consolidate(file), os.Rename(file, kept)); err != nil {
		t.Fatal(err)
	}
	if said := m.copy(5, first, m.redis); !strings.Contains(said, "there is no store at") {
		t.Errorf("%s", said)
	}
	if said := m.copy(0, first, m.redis, "--finish"); !strings.Contains(said, kept) || strings.Contains(said, "Z.moved") {
		t.Errorf("%s", said)
	}
	m.address = m.redis
	if a := m.start().refresh("strict", token); a.status != 200 {
		t.Errorf("%+v", a)
	}
	// And again, after it was done: nothing is to do, and that is said.
	if err := os.WriteFile(filepath.Join(m.dir, "store-copy.journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := m.copyCommand(first, m.redis, "--finish")
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok || !strings.Contains(string(out), "nothing is left to do") {
		t.Errorf("%v\n%s", err, out)
	}
}

package proof_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestReloadsLoseNothing has the configuration read again five times while four
// users refresh without a pause: not one of them is turned away, and each change
// takes effect.
func TestReloadsLoseNothing(t *testing.T) {
	p := newPlace(t, 5)
	config := filepath.Join(p.dir, "jeton.yaml")
	life := func(minutes int) {
		if err := os.WriteFile(config, fmt.Appendf(nil, "access-token-ttl: %dm\n", minutes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	life(10)
	n := p.startWith(func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--config", config) })
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		token := n.login("strict", fmt.Sprintf("user%d", i)).Token
		wg.Go(func() {
			for !done.Load() && !t.Failed() {
				a := n.refresh("strict", token)
				if a.status != http.StatusOK {
					t.Errorf("refresh: %+v", a)
				}
				token = a.Token
			}
		})
	}
	token := n.login("strict", "user4").Token
	for minutes := 11; minutes <= 15 && !t.Failed(); minutes++ {
		life(minutes)
		n.signal(syscall.SIGHUP)
		for end := time.Now().Add(time.Minute); ; {
			a := n.refresh("strict", token)
			if token = a.Token; a.ExpiresIn == minutes*60 {
				break
			}
			if a.status != http.StatusOK || time.Now().After(end) {
				t.Errorf("a lifetime of %d minutes does not take effect: %+v", minutes, a)
				break
			}
		}
	}
	done.Store(true)
	wg.Wait()
}

package history

import (
	"testing"
	"time"
)

func TestDoubt(t *testing.T) {
	lost := played(login(0), login(1), ask(RevokeAll, 0).lost(), refresh(1, 0, 0).no(), ask(Active, 1).of(1))
	if len(Check(lost, time.Minute)) == 0 {
		t.Error("the history is explained without doubt: this test tests nothing")
	}
	for _, f := range Check(Doubt(lost), time.Minute) {
		t.Errorf("a refusal that rested on what was lost: %s", f)
	}
	for name, ops := range map[string][]Operation{
		"nothing was lost":          {login(0), login(1), ask(RevokeAll, 0), refresh(1, 0, 0).no(), ask(Active, 1).of(1)},
		"a no without a cause":      {login(0), refresh(1, 2, 2), refresh(2, 0, 0).no(), ask(Active, 2)},
		"a no before it was lost":   {login(0), login(1), refresh(1, 0, 0).no(), ask(RevokeAll, 0).lost(), ask(Active, 1)},
		"a yes is no doubtful no":   {login(0), ask(Revoke, 1), refresh(1, 0, 0).of(0).lost(), ask(Active, 1)},
		"the user of somebody else": {login(0), refresh(1, 0, 0).no(), ask(Active, 1), login(1).by("bob"), ask(RevokeAll, 0).by("bob").lost()},
	} {
		if len(Check(Doubt(played(ops...)), time.Minute)) == 0 {
			t.Errorf("%s: it is explained", name)
		}
	}
}

func (op Operation) by(user string) Operation { op.User = user; return op }

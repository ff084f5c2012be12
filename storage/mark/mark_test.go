package mark

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func raise(t *testing.T, path, store string, change uint64) {
	t.Helper()
	if err := Raise(path, func() (Mark, error) { return Mark{Store: store, Change: change}, nil }); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, store string, change uint64) {
	t.Helper()
	if m, err := Read(path); err != nil || m != (Mark{Store: store, Change: change}) {
		t.Errorf("the mark is %v, %v, want %s at %d", m, err, store, change)
	}
}

func TestAMarkOnlyRises(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	raise(t, path, "a", 7)
	want(t, path, "a", 7)
	raise(t, path, "a", 5)
	want(t, path, "a", 7)
	raise(t, path, "a", 8)
	want(t, path, "a", 8)
	raise(t, path, "b", 2) // a restored store
	want(t, path, "b", 2)
	if err := Raise(path, func() (Mark, error) { return Mark{}, errors.New("away") }); err == nil {
		t.Error("a store that cannot be asked was taken for one that can")
	}
	want(t, path, "b", 2)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
}

// The number of a file by itself rises on its own, belongs to its store, and is
// not known of marks written before there was one.
func TestWhatIsSettled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(path, sealed(fmt.Sprintf(formBefore, 1, "a", 7)), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, path, "a", 7)
	for _, c := range []struct{ is, want Mark }{
		{Mark{"a", 7, 5}, Mark{"a", 7, 5}},
		{Mark{"a", 9, 0}, Mark{"a", 9, 5}},
		{Mark{"a", 3, 8}, Mark{"a", 9, 8}},
		{Mark{"b", 2, 0}, Mark{"b", 2, 0}},
	} {
		if err := Raise(path, func() (Mark, error) { return c.is, nil }); err != nil {
			t.Fatal(err)
		}
		if m, err := Read(path); err != nil || m != c.want {
			t.Errorf("after %v the mark is %v, %v, want %v", c.is, m, err, c.want)
		}
	}
}

// A write that is cut off anywhere leaves the mark that was there before.
func TestACutOffWriteLeavesTheMarkBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	before := []byte{}
	for i := range uint64(4) {
		raise(t, path, "a", 10+i)
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for cut := range len(after) {
			torn := append(append([]byte{}, after[:cut]...), before[min(cut, len(before)):]...)
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := Read(path)
			switch {
			case err == nil && m.Change == 10+i: // the text was whole
			case i == 0 && errors.Is(err, fs.ErrNotExist):
			case i > 0 && err == nil && m.Change == 10+i-1:
			default:
				t.Fatalf("write %d cut off after %d bytes: %v, %v", i, cut, m, err)
			}
		}
		before = after
		if err := os.WriteFile(path, after, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsNoMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(path, make([]byte, 2*slotSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("Read returned %v", err)
	}
	raise(t, path, "a", 1)
	want(t, path, "a", 1)
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a directory was read as a mark")
	}
}

// Many raise one mark to what the store says at that moment, and it never
// falls.
func TestManyRaiseOneMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	var change atomic.Uint64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				mine := change.Add(1)
				if err := Raise(path, func() (Mark, error) { return Mark{Store: "a", Change: change.Load()}, nil }); err != nil {
					t.Error(err)
				}
				if m, err := Read(path); err != nil || m.Change < mine {
					t.Errorf("after change %d the mark is at %d, %v", mine, m.Change, err)
				}
			}
		})
	}
	all.Wait()
	want(t, path, "a", 160)
}

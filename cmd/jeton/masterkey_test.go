package main

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// keyInfo is a file of somebody, which only root could make.
type keyInfo struct {
	mode     fs.FileMode
	uid, gid int
}

func (k keyInfo) Name() string       { return "master.key" }
func (k keyInfo) Size() int64        { return 45 }
func (k keyInfo) Mode() fs.FileMode  { return k.mode }
func (k keyInfo) ModTime() time.Time { return time.Time{} }
func (k keyInfo) IsDir() bool        { return false }
func (k keyInfo) Sys() any           { return &syscall.Stat_t{Uid: uint32(k.uid), Gid: uint32(k.gid)} }

// The command that mends the mode of a master key takes it from others, and
// never from the server.
func TestWhatMendsAnOpenKeyLeavesItToTheServer(t *testing.T) {
	me, mine, another := os.Geteuid(), os.Getegid(), 1<<30
	for _, tt := range []struct {
		info keyInfo
		want string
	}{
		{keyInfo{0o644, me, mine}, "chmod 600 'the key'"},
		{keyInfo{0o664, another, mine}, "chmod g-w,o= 'the key'"},
		{keyInfo{0o604, another, mine}, "chown "},
		{keyInfo{0o644, another, another}, "chown "},
	} {
		if got := closeKey("the key", tt.info); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: got %q, want %q", tt.info, got, tt.want)
		}
	}
}

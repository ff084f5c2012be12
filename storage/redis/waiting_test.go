package redis_test

import (
	"net"
	"testing"
	"time"

	"jeton/storage/redis"
)

// A Redis that hangs, or is not there, is told of once, however often it is tried.
func TestWaitingIsToldOnce(t *testing.T) {
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	for name, addr := range map[string]string{"hangs": hangs.Addr().String(), "is not there": "127.0.0.1:1"} {
		at, err := redis.ParseURL("redis://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 10)
		_, err = redis.Open(t.Context(), redis.Options{Address: at, Wait: 250 * time.Millisecond, Waiting: func(cause error) { told <- cause }})
		if err == nil || len(told) != 1 || <-told == nil {
			t.Errorf("a Redis that %s: %v, told %d times", name, err, len(told))
		}
	}
}

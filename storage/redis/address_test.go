package redis_test

import (
	"slices"
	"strings"
	"testing"

	"jeton/storage/redis"
)

func TestAddresses(t *testing.T) {
	for raw, want := range map[string]redis.Address{
		"redis://localhost":                     {Hosts: []string{"localhost:6379"}},
		"rediss://jeton@cache.example:6380/3":   {Hosts: []string{"cache.example:6380"}, TLS: true, User: "jeton", Database: 3},
		"redis+sentinel://a,b:1,[::1]:2/main/1": {Hosts: []string{"a:26379", "b:1", "[::1]:2"}, Master: "main", Database: 1},
		"rediss+cluster://a:1,b":                {Hosts: []string{"a:1", "b:6379"}, Cluster: true, TLS: true},
		"redis://[::1]":                         {Hosts: []string{"[::1]:6379"}},
	} {
		got, err := redis.ParseURL(raw)
		if err != nil || !slices.Equal(got.Hosts, want.Hosts) || got.Master != want.Master || got.Cluster != want.Cluster ||
			got.TLS != want.TLS || got.Database != want.Database || got.User != want.User {
			t.Errorf("%s is %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "redis:", "http://a", "redis+x://a", "redis://", "redis://a,b", "redis+sentinel://a", "redis+sentinel://a/",
		"redis+cluster://a/1", "redis://a/x", "redis://a/-1", "redis://a:b", "redis://a:0", "redis://a:1:2", "redis://a?db=1", "redis://u:%zz@a", "redis://:1", "redis+cluster://a,,b"} {
		if got, err := redis.ParseURL(raw); err == nil {
			t.Errorf("%q was taken for %+v", raw, got)
		} else if strings.Contains(err.Error(), "%!") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://u:pass@word@h:1/2":       "redis://u:(hidden)@h:1/2",
		"redis+sentinel://:pw@a,b/m":      "redis+sentinel://:(hidden)@a,b/m",
		"redis://u@h":                     "redis://u@h",
		"sqlite:jeton-data/jeton.db":      "sqlite:jeton-data/jeton.db",
		"rediss+cluster://u:p:q@a:1,b:2/": "rediss+cluster://u:(hidden)@a:1,b:2/",
	} {
		if got := redis.Redact(raw); got != want {
			t.Errorf("%s is shown as %s", raw, got)
		}
	}
}

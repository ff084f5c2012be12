package redis_test

import (
	"testing"

	"jeton/storage"
	"jeton/storage/redis/redistest"
)

// Rows that Redis has removed by itself leave entries behind: whoever lists them
// does not see them, and strikes them out. Rows expire by themselves only some
// time after they count as absent.
func TestIndexesHeal(t *testing.T) {
	server := redistest.Start(t)
	s := mustOpen(t, options(t, server))
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		put := storage.Put{Key: storage.Key{Kind: "k", ID: id}, Expires: now.Add(storage.Day), Index: []storage.Entry{{Name: "i", Sort: id}}}
		if _, err := s.Commit(t.Context(), storage.Change{Partition: "p", Puts: []storage.Put{put}}); err != nil {
			t.Fatal(err)
		}
	}
	keys := func(kind string) []any { return server.Do("keys", "jeton:{*}:"+kind+":*").([]any) }
	for _, row := range keys("r") {
		if left := server.Do("ttl", row).(int64); left < 24*3600+3600 || left > 10*24*3600 {
			t.Errorf("%q expires in %d s", row, left)
		}
	}
	if n := len(keys("i")) + len(keys("p")); n != 2 {
		t.Fatalf("%d indexes, want one of all and one of the partition", n)
	}
	for _, row := range keys("r") {
		server.Do("del", row)
	}
	for _, q := range []storage.Query{{Index: "i", Limit: 1}, {Index: "i", Partition: "p", Limit: 1}} {
		if page, err := s.List(t.Context(), q); err != nil || len(page.Rows) != 0 || page.Next != "" {
			t.Errorf("List %+v: %+v, %v", q, page, err)
		}
	}
	if left := append(keys("i"), keys("p")...); len(left) != 0 {
		t.Errorf("entries stay in %q", left)
	}
}

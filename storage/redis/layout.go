package redis

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"regexp"
	"time"

	"jeton/storage"
)

// groupCount is how many groups a new store spreads its partitions over: as many
// masters could share the work.
const groupCount = 64

// group is what shares a hash tag.
type group struct {
	base   string // "jeton:{p007}:"
	marker string
}

func newGroups(prefix, id string, n int) []group {
	groups := make([]group, n)
	for i := range groups {
		base := fmt.Sprintf("%s:{p%03d}:", prefix, i)
		groups[i] = group{base, base + "m:" + id}
	}
	return groups
}

func (s *Store) groupOf(p storage.Partition) int {
	h := fnv.New32a()
	h.Write([]byte(p))
	return int(h.Sum32() % uint32(len(s.groups)))
}

func (g group) rows() string                         { return g.base + "r:" }
func (g group) indexes() string                      { return g.base + "i:" }
func (g group) partitions() string                   { return g.base + "p:" }
func (g group) queue() string                        { return g.base + "x" }
func (g group) partition(p storage.Partition) string { return g.partitions() + string(p) }

func (g group) row(p storage.Partition, k storage.Key) string {
	return g.rows() + string(p) + "\x00" + name(k)
}

func (g group) fence(version uint64) string { return fmt.Sprintf("%sf:%016x", g.base, version) }

// name is a row within its partition.
func name(k storage.Key) string { return k.Kind + "\x00" + k.ID }

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

func validPrefix(prefix string) bool { return prefixPattern.MatchString(prefix) }

// headLen is the length of a row before its packed entries.
const headLen = 8 + 8 + 4

// fill reads a row as rows.lua describes it, unless it has expired.
func fill(row *storage.Row, raw string, now time.Time) error {
	if raw == "" {
		return nil
	}
	if len(raw) < headLen {
		return errDamaged
	}
	head := []byte(raw[:headLen])
	entries := uint64(binary.BigEndian.Uint32(head[16:]))
	if uint64(len(raw)) < headLen+entries {
		return errDamaged
	}
	expires := fromMicros(math.Float64frombits(binary.BigEndian.Uint64(head[8:])))
	if !expires.IsZero() && !expires.After(now) {
		return nil
	}
	row.Version = binary.BigEndian.Uint64(head)
	row.Expires = expires
	row.Value = []byte(raw[headLen+entries:])
	return nil
}

func versionBytes(v uint64) string { return string(binary.BigEndian.AppendUint64(nil, v)) }

// Times are stored as whole microseconds, the measure of Redis's own clock; 0 is
// none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, t.UnixMicro())
}

func fromMicros(n float64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}

package throttle

// counter is one count. It holds the time at which it will have leaked empty,
// which says how much is in it at any time before. 32 bytes.
type counter struct {
	key   uint64 // 0 is a free place
	empty int64  // tick
	last  int64  // tick of the last attempt that was counted
	// delta is what was counted here and has not reached the store.
	delta int16
	open  uint16 // attempts counted and not judged
	asks  uint16 // of a pair: how often it came too early for a turn
	kind  kind
	state state
}

type state uint8

const (
	dirty  state = 1 << iota // stands in counters.dirty
	stored                   // the store has it, so it hears of every change
	reset                    // cleared here: the store's count no longer holds
)

const ways = 8

// counters is a table of fixed size: each key has eight places it may be in.
type counters struct {
	cells []counter
	mask  uint64
	rules *[rules]rule
	dirty []uint32 // places that have changed, each at most once
}

func newCounters(size int, r *[rules]rule) counters {
	n := ways
	for n < size {
		n *= 2
	}
	return counters{cells: make([]counter, n), mask: uint64(n/ways - 1), rules: r}
}

func (t *counters) set(key uint64) (first uint64, cells []counter) {
	first = (key & t.mask) * ways
	return first, t.cells[first : first+ways]
}

func (t *counters) find(key uint64) *counter {
	_, cells := t.set(key)
	for i := range cells {
		if cells[i].key == key {
			return &cells[i]
		}
	}
	return nil
}

// claim finds the counter or makes it, in the place of the one that is nearest
// to empty, measured by what its rule allows.
func (t *counters) claim(key uint64, k kind, now int64) *counter {
	if c := t.find(key); c != nil {
		return c
	}
	return t.replace(t.least(key, now), key, k, now)
}

func (t *counters) replace(c *counter, key uint64, k kind, now int64) *counter {
	*c = counter{key: key, kind: k, empty: now, state: c.state & dirty}
	return c
}

// least is the place that the key would take.
func (t *counters) least(key uint64, now int64) *counter {
	_, cells := t.set(key)
	least := &cells[0]
	for i := range cells {
		c := &cells[i]
		if c.key == 0 {
			return c
		}
		if f, g := t.fill(c, now), t.fill(least, now); f < g || f == g && c.last < least.last {
			least = c
		}
	}
	return least
}

// fill is how full a counter is, in millionths.
func (t *counters) fill(c *counter, now int64) int64 {
	r := &t.rules[c.kind]
	return max(0, c.empty-now) * 1_000_000 / r.full()
}

// charge counts an attempt. It reports false where the count is at its end
// already, which only happens to a counter that nobody asked.
func (t *counters) charge(c *counter, now int64) bool {
	r := &t.rules[c.kind]
	if c.empty <= now {
		c.empty, c.open, c.delta = now, 0, 0 // whatever was counted has leaked
	}
	if r.count(c, now) >= r.most+r.parallel || c.open == 1<<16-1 {
		return false
	}
	c.empty += r.leak
	c.last = now
	c.delta = min(c.delta+1, int16(r.count(c, now))) // some of it may have leaked
	c.open++
	t.touch(c)
	return true
}

// Of those who want the turn of an account, each patience requests that came
// too early count like a failure, up to mostImpatient. Whoever has stayed
// away for a quarter of an hour starts again.
const (
	patience      = 8
	mostImpatient = 63
	asksFor       = 15 * 60 * 1000
)

// ask notes that a pair came too early. It takes no place from a count.
func (t *counters) ask(key uint64, now int64) {
	c := t.find(key)
	if c == nil {
		if c = t.least(key, now); t.fill(c, now) > 0 {
			return
		}
		c = t.replace(c, key, ofPair, now)
	}
	if c.impatience(now) == 0 {
		c.asks %= patience // of one who stayed away, what he had before
	}
	if c.empty <= now {
		c.last = now // which means nothing else while there are no failures
	}
	c.asks = min(c.asks+1, patience*mostImpatient)
}

func (c *counter) impatience(now int64) int64 {
	if c.empty <= now && now-c.last > asksFor {
		return 0
	}
	return int64(c.asks) / patience
}

// refund takes an attempt back. prev is what c.last was before it.
func (t *counters) refund(c *counter, at, prev int64) {
	if c.open == 0 {
		return // it has leaked, or this is another counter in its place
	}
	c.open--
	c.empty -= t.rules[c.kind].leak
	c.delta--
	if c.last == at {
		c.last = prev
	}
	t.touch(c)
}

// forgive takes n failures more from the count.
func (t *counters) forgive(c *counter, n int64) {
	c.empty -= n * t.rules[c.kind].leak
	c.delta -= int16(n)
	t.touch(c)
}

// clear leaves only the attempts under way.
func (t *counters) clear(c *counter, now int64) {
	c.empty, c.delta, c.asks = now+int64(c.open)*t.rules[c.kind].leak, int16(c.open), 0
	if c.state&stored != 0 {
		c.state |= reset
	}
	t.touch(c)
}

// touch notes that the store may have to hear of it. The place follows from the
// key, so the list needs no pointers.
func (t *counters) touch(c *counter) {
	if c.state&dirty != 0 {
		return
	}
	first, cells := t.set(c.key)
	for i := range cells {
		if &cells[i] == c {
			c.state |= dirty
			t.dirty = append(t.dirty, uint32(first)+uint32(i))
		}
	}
}

package lists

import "time"

// Held is how many lists are in memory, and how long ago the store was last
// read for the one of which that is longest ago.
func (p *Publisher) Held() (lists int, age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lists {
		l.mu.Lock()
		age = max(age, time.Since(l.seen))
		l.mu.Unlock()
	}
	return len(p.lists), age
}

package history

import (
	"math"
	"slices"
)

// Doubt is the history as a store allows it whose refusals do not wait until they
// are as durable as what is acknowledged: a "no" may rest on a write that nobody was
// told of, and that is lost in a failover after it was seen. To refuse then is safe.
// Such a "no" is no sight of anything: one that was said during or after an act on
// the same user of which nobody knows what came of it. All else has to be explained.
func Doubt(ops []Operation) []Operation {
	since := make(map[string]int64) // by user: when the first such act began
	for _, op := range ops {
		if first, ok := since[op.User]; !op.Known && (!ok || int64(op.Call) < first) {
			since[op.User] = int64(op.Call)
		}
	}
	ops = slices.Clone(ops)
	for i, op := range ops {
		first, ok := since[op.User]
		if op.Known && !op.OK && (op.Kind == Refresh || op.Kind == Active) && ok && first < int64(op.Return) {
			ops[i].Outcome, ops[i].Return = Outcome{}, math.MaxInt64
		}
	}
	return ops
}

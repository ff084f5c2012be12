package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Fault is the history of one user that no order explains.
type Fault struct {
	User string
	// Operations end with the one that cannot be explained any more.
	Operations []Operation
	// Undecided: there were too many orders to try in the time. That is no proof
	// of a fault, and none of the absence of one.
	Undecided bool
}

func (f Fault) String() string {
	var b strings.Builder
	what := "no order explains what was seen of user %s:\n"
	if f.Undecided {
		what = "what was seen of user %s has too many orders to try:\n"
	}
	fmt.Fprintf(&b, what, f.User)
	for _, op := range f.Operations {
		fmt.Fprintf(&b, "%s\n", op)
	}
	return b.String()
}

func (op Operation) String() string {
	asked := fmt.Sprintf("%8d..%-8d µs  %s", op.Call.Microseconds(), op.Return.Microseconds(), op.Kind)
	if !op.Known {
		asked = fmt.Sprintf("%8d..%-8s µs  %s", op.Call.Microseconds(), "?", op.Kind)
	}
	switch op.Kind {
	case SetRoles:
		asked += fmt.Sprintf(" %b", op.Act.Roles)
	case Login:
		asked += fmt.Sprintf(" as session %d, window %v", op.Session, op.Window)
	case Refresh, Revoke, RevokeAccess, Active:
		asked += fmt.Sprintf(" %d of session %d", op.Act.Token, op.Session)
	}
	switch {
	case !op.Known:
		return asked + ": unknown"
	case !op.OK:
		return asked + ": no"
	case op.Kind == Login, op.Kind == Refresh:
		return asked + fmt.Sprintf(": refresh token %d, access token %d, roles %b", op.Outcome.Token, op.Access, op.Outcome.Roles)
	}
	return asked + ": yes"
}

// Check looks at the history of each user by itself, for patience at most.
func Check(ops []Operation, patience time.Duration) (faults []Fault) {
	of := map[string][]Operation{}
	for _, op := range ops {
		of[op.User] = append(of[op.User], op)
	}
	for name, part := range of {
		switch explain(part, patience) {
		case porcupine.Illegal:
			faults = append(faults, Fault{User: name, Operations: shortest(part, patience)})
		case porcupine.Unknown:
			slices.SortFunc(part, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
			faults = append(faults, Fault{User: name, Operations: part, Undecided: true})
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.User, b.User) })
	return faults
}

// shortest is the least beginning of a history that no order explains.
func shortest(ops []Operation, patience time.Duration) []Operation {
	ends := slices.Clone(ops)
	slices.SortFunc(ends, func(a, b Operation) int { return cmp.Compare(a.Return, b.Return) })
	few, _ := slices.BinarySearchFunc(ends, porcupine.Illegal, func(end Operation, _ porcupine.CheckResult) int {
		if explain(until(ops, end.Return), patience) == porcupine.Illegal {
			return 0
		}
		return -1
	})
	return until(ops, ends[min(few, len(ends)-1)].Return)
}

// until is the history as it was at a moment: what was under way then is
// unknown.
func until(ops []Operation, moment time.Duration) (part []Operation) {
	for _, op := range ops {
		if op.Call > moment {
			continue
		}
		if op.Return > moment {
			op.Outcome = Outcome{}
		}
		part = append(part, op)
	}
	slices.SortFunc(part, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
	return part
}

// explain looks for an order of the operations of one user.
func explain(ops []Operation, patience time.Duration) porcupine.CheckResult {
	var all []porcupine.Operation
	for i, op := range ops {
		if !op.Known && (op.Kind == Login || op.Kind == Active) {
			continue // it told nothing, and nobody knows of the session
		}
		if !op.Known {
			op.Return = math.MaxInt64 // it may still be done
		}
		all = append(all, porcupine.Operation{Input: operation{op, i + 1}, Call: int64(op.Call), Return: int64(op.Return)})
	}
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Init: func() any { return user{roles: FirstRoles} },
		Step: func(state, in, _ any) (bool, any) {
			next, ok := state.(user).step(in.(operation))
			return ok, next
		},
		Equal: func(a, b any) bool { return a.(user).equal(b.(user)) },
	}, all, patience)
}

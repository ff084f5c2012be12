package throttle

// While a rule says wait that many share, nothing may tell a known pair from
// names that nobody has: neither the answer nor its time. Else an address that is
// used up (which thirty requests do) would be one to ask which users sign in from
// there. And yet who is known there is to get in with the right password.
//
//   - Where the source or its network says wait, nothing is hashed of a name that
//     is not known, since that would be a hash for each of any number of names.
//     So nothing is hashed of a wrong password for one that is: it is told from
//     the right one by a mark in memory, of the secret that was right the last time.
//     Marks are of one process. After a restart, and at other nodes, who is known
//     at an address under siege takes turns with the strangers there.
//   - Where the account alone says wait, the siege is elsewhere, and this source
//     pays for what it has hashed. Everybody's password is looked at, and the
//     source is charged for it; of those who are not known the outcome counts for
//     nothing.
//
// The answer to all but the right password of a known pair is what a stranger is
// told, and changes no count that it would not change for a stranger. What bounds
// the guesses is the rule [Limits.Besieged], which no answer tells of.

// besieged decides about an attempt that some rules say has to wait.
func (t *Throttle) besieged(k *Ticket, slow *Throttled, by uint) (*Ticket, error) {
	const own = 1<<ofPair | 1<<ofClient
	user := k.owner != 0 && k.charges[0].kind == ofPair
	if k.late && k.known && by&own == 0 {
		return k, nil // the secret of a client is no costly hash
	}
	if !user || by&own != 0 {
		return nil, slow
	}
	away := by == 1<<ofAccount
	if !away && !k.known {
		return nil, slow
	}
	key := besiegedKey(k.pair)
	if c := t.counts.find(key); c != nil && t.rules[ofBesieged].wait(c, k.at, bias{}) > 0 {
		return nil, slow
	}
	right := t.known.by(k.owner, k.place, t.today(), k.mark)
	t.charge(k, key, away)
	if !away && !right {
		k.judge()
		return nil, slow
	}
	k.slow = slow
	return k, nil
}

// charge counts an attempt during a siege: on the pair's count of such, and away
// from where the siege is also on the source and its network.
func (t *Throttle) charge(k *Ticket, key uint64, away bool) {
	n := 1
	for _, ch := range k.charges[:k.n] {
		if away && (ch.kind == ofSource || ch.kind == ofNetwork) {
			k.charges[n] = ch
			n++
		}
	}
	k.charges[0], k.n = charge{key: key, kind: ofBesieged}, n
	k.count(k.at)
}

// besiegedKey is the counter of a pair for the time of a siege.
func besiegedKey(pair uint64) uint64 { return max(1, pair^0x9e3779b97f4a7c15) }

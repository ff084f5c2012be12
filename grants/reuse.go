package grants

import (
	"fmt"
	"time"
)

// soonAfter is how long after a rotation a spent token is more likely to come
// from a second tab, or from a client that lost the answer, than from a thief.
const soonAfter = 2 * time.Minute

// reuseInWords says how a spent token came back, for those who are asked why
// somebody was logged out. It is a guess at best, and changes nothing: a thief
// may be quick, and sit behind the same address.
func reuseInWords(p presented) string {
	ses, from := p.session.Value, p.req.Source.Device
	behind := ses.Generation - p.claims.Generation
	after := p.now.Sub(ses.Rotated).Truncate(time.Second)
	how := fmt.Sprintf("a refresh token that was %d behind came back %s after the last refresh", behind, after)
	switch {
	case from.Agent != ses.Device.Agent:
		return how + ", from another program: likely stolen"
	case from.Network != ses.Device.Network:
		return how + ", from the same program in another network: stolen, or a device on the move"
	case behind == 1 && after < soonAfter:
		return how + ", from the same device: likely a second tab, or an answer that was lost"
	case behind == 1:
		return how + ", from the same device: likely an answer that was lost"
	}
	return how + ", from the same device: likely two copies of one client, such as a backup that was put back"
}

package storage

// How tokens are delivered, and to which requests of other sites cookies go.
const (
	DeliveryBody   = "body"
	DeliveryCookie = "cookie"

	SameSiteStrict = "strict"
	SameSiteLax    = "lax"
)

// ByCookie reports whether the client's tokens travel in cookies, and never in
// a body.
func (c Client) ByCookie() bool { return c.Delivery == DeliveryCookie }

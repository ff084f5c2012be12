package grants

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"jeton/storage"
	"jeton/throttle"
)

// DeviceCodes are what a device is answered with (RFC 8628 §3.2).
type DeviceCodes struct {
	DeviceCode, UserCode string
	ExpiresIn, Interval  time.Duration
}

// AskDevice takes the request of a device that has no browser. Somebody who has
// shown no secret can so have the store keep something.
func (s *Service) AskDevice(ctx context.Context, client storage.Record[storage.Client], scope string, resource []string, from Source) (DeviceCodes, error) {
	r, err := s.checkDevice(client.Value, scope, resource)
	if err != nil {
		return DeviceCodes{}, err
	}
	if err := s.SlowAsker(client.Value, from); err != nil {
		return DeviceCodes{}, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return DeviceCodes{}, err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return DeviceCodes{}, err
	}
	r.Device, r.Created, r.Interval = from.Device, now, storage.Duration(s.Settings.DeviceInterval)
	r.Expires = seconds(now.Add(s.Settings.DeviceCodeTTL + time.Second - 1)) // never less than what is promised
	r.ClientEpoch, r.SystemEpoch = client.Value.Epoch, system.Value.Epoch
	var codes DeviceCodes
	err = retryConflicts(func() error { // a conflict is a user code that is in use
		codes, err = s.keepDevice(ctx, r)
		return err
	})
	return codes, err
}

// SlowAsker slows the sources of public clients, before the store keeps something
// for nobody known. It counts, whatever becomes of it.
func (s *Service) SlowAsker(client storage.Client, from Source) error {
	if s.Throttle == nil || !client.Public() {
		return nil
	}
	addr, _ := netip.ParseAddr(from.Address)
	ticket, err := s.Throttle.Try(throttle.Attempt{Source: addr, Asks: true})
	if err == nil {
		ticket.Failure()
	}
	return err
}

// checkDevice judges what is asked for, as /authorize would.
func (s *Service) checkDevice(client storage.Client, asked string, resource []string) (r storage.DeviceRequest, err error) {
	if !slices.Contains(client.Grants, storage.GrantDeviceCode) {
		return r, fail(UnauthorizedClient, "the client is not registered for "+storage.GrantDeviceCode, nil)
	}
	scope, err := grantScope(client, asked)
	if err != nil {
		return r, err
	}
	audience, err := s.Settings.resources(client, scope, nil, resource)
	if err != nil {
		return r, err
	}
	r.ClientID, r.Scope = client.ID, strings.Join(scope, " ")
	if len(resource) > 0 {
		r.Resource = audience
	}
	return r, nil
}

// keepDevice stores the request under new codes.
func (s *Service) keepDevice(ctx context.Context, r storage.DeviceRequest) (DeviceCodes, error) {
	user := newUserCode()
	r.ID = s.userCodeIDs(user)[0]
	c := deviceCode{randomBytes(handleSize), deviceCodeFacts{ID: r.ID, ClientID: r.ClientID, Expires: r.Expires}}
	r.DeviceHash = c.hash()
	text, err := s.sealDeviceCode(c)
	if err != nil {
		return DeviceCodes{}, err
	}
	_, err = s.Store.Commit(ctx, storage.Change{
		Partition: storage.DevicePartition(r.ID),
		Checks:    []storage.Check{{Key: storage.DeviceKey(r.ID)}},
		Puts:      []storage.Put{devicePut(r)},
	})
	return DeviceCodes{text, user, s.Settings.DeviceCodeTTL, s.Settings.DeviceInterval}, err
}

func devicePut(r storage.DeviceRequest) storage.Put {
	return storage.Put{Key: storage.DeviceKey(r.ID), Value: storage.Encode(r), Expires: r.Expires}
}

// deviceGrant is RFC 8628 §3.4: a device asks what became of its request.
type deviceGrant struct{}

// Authorize finds out what a device code is worth: patience, a refusal, or a
// session.
func (deviceGrant) Authorize(ctx context.Context, s *Service, req Request) (Authorization, error) {
	if req.DeviceCode == "" {
		return nil, fail(InvalidRequest, "device_code is required", nil)
	}
	code, ok := s.openDeviceCode(req.DeviceCode)
	if !ok {
		return nil, badDeviceCode("not one of this server")
	}
	client := req.Client.Value
	if code.ClientID != client.ID {
		s.Log.WarnContext(ctx, "a client presented the device code of another client; nothing was changed",
			"client_id", client.ID, "owner", code.ClientID, "source", req.Source.Address)
		return nil, badDeviceCode("issued to another client")
	}
	rec, now, err := s.deviceRequest(ctx, code.ID)
	if err != nil {
		return nil, err
	}
	system, err := s.Store.CachedSystem(ctx)
	if err != nil {
		return nil, err
	}
	switch v := rec.Value; {
	case !now.Before(code.Expires):
		return nil, fail(ExpiredToken, "the device code has expired: begin again", nil)
	case !rec.Exists() || v.DeviceHash != code.hash():
		return nil, badDeviceCode("the store does not know it")
	case v.ClientEpoch != client.Epoch, v.SystemEpoch != system.Value.Epoch:
		return nil, badDeviceCode("what it stands for was revoked meanwhile")
	case v.Denied:
		return nil, fail(AccessDenied, "the user has declined", nil)
	case !v.Answered():
		return polling{rec, now}, nil
	}
	return s.allowedDevice(ctx, req, code, rec.Value)
}

func (s *Service) deviceRequest(ctx context.Context, id string) (storage.Record[storage.DeviceRequest], time.Time, error) {
	snap, err := s.Store.Read(ctx, storage.DevicePartition(id), storage.DeviceKey(id))
	if err != nil {
		return storage.Record[storage.DeviceRequest]{}, time.Time{}, err
	}
	rec, err := storage.Decode[storage.DeviceRequest](snap.Rows[0])
	return rec, snap.Now, err
}

// allowedDevice makes a session of an approval. It is not one of the browser in
// which the user said yes: signing out there, as one should on a machine of
// others, must not end what a device at home was allowed.
func (s *Service) allowedDevice(ctx context.Context, req Request, code deviceCode, asked storage.DeviceRequest) (Authorization, error) {
	key := storage.ApprovalKey(asked.Approval)
	snap, err := s.Store.Read(ctx, storage.UserPartition(asked.Subject), key, storage.UserKey(asked.Subject))
	if err != nil {
		return nil, err
	}
	yes, err := storage.Decode[storage.DeviceApproval](snap.Rows[0])
	if err != nil {
		return nil, err
	}
	user, err := storage.Decode[storage.User](snap.Rows[1])
	if err != nil {
		return nil, err
	}
	switch {
	case !yes.Exists():
		return nil, about(badDeviceCode("used before"), asked.Subject, code.sessionID())
	case !user.Exists() || user.Value.Disabled, yes.Value.UserEpoch != user.Value.Epoch:
		return nil, about(badDeviceCode("what it stands for was revoked meanwhile"), asked.Subject, "")
	}
	client := req.Client.Value
	scope, err := refreshScope(client, asked.Scope, "") // without what the client has lost since
	if err != nil {
		return nil, err
	}
	audience, err := s.Settings.resources(client, strings.Fields(scope), asked.Resource, req.Resource)
	if err != nil {
		return nil, err
	}
	check := yes.Check(key)
	return login{
		req: req, user: user, now: snap.Now, code: &check,
		begin: storage.Session{
			ID: code.sessionID(), Scope: scope, Audience: audience, Resource: asked.Resource,
			Notify: client.BackchannelLogoutURI != "" && hasScope(scope, ScopeOpenID),
			AMR:    yes.Value.AMR, ACR: yes.Value.ACR, AuthTime: yes.Value.AuthTime, SystemEpoch: asked.SystemEpoch,
		},
	}, nil
}

// polling is the decision that a device has to wait on. Noting that it has asked
// is what lets any node tell whether it asks too often.
type polling struct {
	asked storage.Record[storage.DeviceRequest]
	now   time.Time
}

const (
	// slowDown is what a device that asks too early has to wait longer from then on
	// (RFC 8628 §3.5), mostInterval how long at most: from there on it costs no
	// write any more.
	slowDown     = 5 * time.Second
	mostInterval = time.Minute
	// onTheWay is by how much two requests that were sent in time may arrive too
	// close to each other.
	onTheWay = time.Second
)

func (p polling) issue(ctx context.Context, s *Service) (Response, error) {
	v := p.asked.Value
	refusal := fail(AuthorizationPending, "the user has not answered yet", nil)
	if wait := time.Duration(v.Interval); p.now.Sub(v.Polled) < wait-onTheWay {
		refusal = fail(SlowDown, "the device asks too often: wait 5 seconds longer each time", nil)
		if wait >= mostInterval {
			return Response{}, refusal
		}
		v.Interval = storage.Duration(min(wait+slowDown, mostInterval))
	}
	v.Polled = p.now
	_, err := s.Store.Commit(ctx, storage.Change{
		Partition: storage.DevicePartition(v.ID),
		Checks:    []storage.Check{p.asked.Check(storage.DeviceKey(v.ID))},
		Puts:      []storage.Put{devicePut(v)},
	})
	if err != nil {
		return Response{}, err
	}
	return Response{}, refusal
}

func badDeviceCode(cause string) error {
	return fail(InvalidGrant, "the device code is invalid, used or was issued to another client", errors.New(cause))
}
